"""Which certificates are trusted, and what is said of the others."""

import http.server
import ssl
import subprocess
import threading

import pytest
import urllib3

from fleet.findings import Fault
from fleet.proxmox import tls
from tests.helpers.https_server import certificate, own_ca, serving


@pytest.mark.parametrize(
    ("name", "age", "trusted", "words"),
    [
        ("127.0.0.1", 0, False, "no CA known here signed it: add the node's /etc/pve/pve-root-ca.pem"),
        ("127.0.0.1", 5, True, "it has expired: renew it"),
        ("127.0.0.1", -40, True, "it is not valid yet: check the clocks"),
        ("pve.example.org", 0, True, "it was issued for another name: put a name that it covers"),
    ],
)
def test_bad_certificates(tmp_path, use, problem, name, age, trusted, words):
    pem, other = certificate(tmp_path, name, age), certificate(tmp_path, "192.0.2.1")
    with serving(pem, {}) as endpoint:
        assert words in problem(use(endpoint, pem if trusted else other))
        assert use(endpoint, other, insecure="true").get("nodes") == []


def strict(make):
    """Contexts as Python 3.13 makes them."""

    def made(*args, **options):
        context = make(*args, **options)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    return made


@pytest.fixture
def own(tmp_path):
    return own_ca(tmp_path)


def test_the_ca_of_proxmox_is_accepted_by_newer_pythons_too(own, use, monkeypatch):
    make = strict(urllib3.util.ssl_.create_urllib3_context)
    monkeypatch.setattr(urllib3.util.ssl_, "create_urllib3_context", make)
    monkeypatch.setattr(urllib3.connection, "create_urllib3_context", make)
    with serving(own[1], {}) as endpoint:
        assert use(endpoint, own[0]).get("nodes") == []


def test_the_systems_authorities_are_trusted_as_terraform_trusts_them(own, use, monkeypatch, tmp_path):
    (tmp_path / "certs").mkdir()
    (tmp_path / "certs/pve.pem").write_bytes(own[0].read_bytes())
    subprocess.run(["openssl", "rehash", tmp_path / "certs"], check=True, capture_output=True)
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "certs"))
    with serving(own[1], {}) as endpoint:
        assert use(endpoint).get("nodes") == []


def test_a_bundle_that_is_not_there(use, problem):
    assert "SSL_CERT_FILE cannot be used: " in problem(use("https://127.0.0.1:9", "/no/such/file"))


def test_no_tls_at_the_port(use, problem, tmp_path):
    class Silent(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_):
            """Nothing is logged."""

    with http.server.HTTPServer(("127.0.0.1", 0), Silent) as plain:
        threading.Thread(target=plain.handle_request, daemon=True).start()
        text = problem(use(f"https://127.0.0.1:{plain.server_port}"))
    assert "no TLS connection with https://127.0.0.1:" in text
    assert "check that PROXMOX_VE_ENDPOINT names Proxmox's own port (8006)" in text


@pytest.mark.parametrize(
    ("endpoint", "found"),
    [
        ("https://pve:8006/", "https://pve:8006"),
        ("https://pve:8006/api2/json/", "https://pve:8006"),
        ("https://[2001:db8::1]:8006", "https://[2001:db8::1]:8006"),
        ("http://127.0.0.1:8006", "http://127.0.0.1:8006"),
        ("http://localhost/", "http://localhost"),
        ("", "PROXMOX_VE_ENDPOINT is not set"),
        ("http://pve:8006", "must start with https://"),
        ("http://127.0.0.1.example.org", "must start with https://"),
        ("http://localhost@pve", "is not a URL"),
        ("https://", "is not a URL"),
        ("https://pve:port", "is not a URL"),
        ("https://[::1", "is not a URL"),
        ("pve:8006", "is not a URL"),
    ],
)
def test_endpoints(endpoint, found):
    try:
        assert tls.checked(endpoint) == found
    except Fault as fault:
        assert found in str(fault)
        assert fault.code == 2
