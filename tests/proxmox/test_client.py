"""The Proxmox client against a real HTTPS server that behaves badly: every problem has its own words."""

import contextlib
import datetime
import http.server
import io
import json
import runpy
import ssl
import subprocess
import threading
import time

import pytest
import urllib3
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fleet.findings import Fault
from fleet.paths import PLAYBOOKS_DIR
from fleet.proxmox import client as proxmox

DAY = datetime.timedelta(days=1)


def certificate(folder, name: str = "127.0.0.1", age: int = 0):
    """A self-signed certificate for an address or a name, `age` days past its end; its path."""
    import ipaddress

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    alternative = x509.IPAddress(ipaddress.ip_address(name)) if name[0].isdigit() else x509.DNSName(name)
    end = datetime.datetime.now(datetime.UTC) + DAY - age * DAY
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(end - 30 * DAY)
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{name}-{age}.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + secret)
    return path


@contextlib.contextmanager
def serving(pem, answers: dict[str, tuple[int, str, object]]):
    """Serve `path: (status, reason, body)`; yields the endpoint."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            path = self.path.removeprefix("/api2/json/").split("?")[0]
            status, reason, body = answers.get(path, (200, "OK", {"data": []}))
            if body == "slow":
                time.sleep(2)
            text = body if isinstance(body, str) else json.dumps(body)
            self.send_response(status, reason)
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(text.encode())

        def log_message(self, *_):
            """Nothing is logged."""

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, *_):
            """A client that refuses the certificate is what is tested."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with Server(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"https://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture
def use(monkeypatch):
    """Set the environment as the provider reads it; returns the client for an endpoint and a CA file."""

    def set_up(endpoint: str, ca=None, token: str = "a@pve!b=0-1", insecure: str = "") -> proxmox.Client:
        for name, value in (
            ("PROXMOX_VE_ENDPOINT", endpoint),
            ("PROXMOX_VE_API_TOKEN", token),
            ("PROXMOX_VE_INSECURE", insecure),
            ("SSL_CERT_FILE", str(ca or "")),
            ("REQUESTS_CA_BUNDLE", ""),
            ("CURL_CA_BUNDLE", ""),
            ("NO_PROXY", "*"),
        ):
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(proxmox, "TIMEOUT", (1, 1))
        return proxmox.connect()

    return set_up


def problem(client: proxmox.Client, path: str = "nodes") -> str:
    with pytest.raises(Fault) as caught:
        client.get(path)
    assert caught.value.code == 2
    assert "0-1" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((401, "No ticket", {"data": None}), "does not know the token (401 No ticket): renew"),
        ((403, "Permission check failed (/, Sys.Audit)", {}), "lacks a right for GET nodes (403 Perm"),
        ((595, "No route to host", {}), "a node does not answer the cluster on GET nodes (595 No"),
        ((500, "boom", {"message": "can't lock file - got timeout\n"}), "with 500: can't lock"),
        ((400, "Parameter", {"errors": {"vmid": "invalid format"}}), "vmid: invalid format"),
        ((200, "OK", "<html>a router</html>"), "is not Proxmox VE's API: see PROXMOX_VE_ENDPOINT"),
        ((200, "OK", "slow"), "is slow: no answer to GET nodes within 1 s"),
    ],
)  # fmt: skip
def test_bad_answers(tmp_path, use, answer, words):
    pem = certificate(tmp_path)
    with serving(pem, {"nodes": answer}) as endpoint:
        assert words in problem(use(endpoint, pem))


@pytest.mark.parametrize(
    ("name", "age", "trusted", "words"),
    [
        ("127.0.0.1", 0, False, "no CA known here signed it: add the node's /etc/pve/pve-root-ca.pem"),
        ("127.0.0.1", 5, True, "it has expired: renew it"),
        ("127.0.0.1", -40, True, "it is not valid yet: look at the clocks"),
        ("pve.example.org", 0, True, "it was made for another name: put a name that it holds"),
    ],
)
def test_bad_certificates(tmp_path, use, name, age, trusted, words):
    pem, other = certificate(tmp_path, name, age), certificate(tmp_path, "192.0.2.1")
    with serving(pem, {}) as endpoint:
        assert words in problem(use(endpoint, pem if trusted else other))
        assert use(endpoint, other, insecure="true").get("nodes") == []


@pytest.fixture
def own(tmp_path):
    """A CA and a node's certificate, made by the commands by which Proxmox makes them."""
    (tmp_path / "ext").write_text("basicConstraints=CA:FALSE\nsubjectAltName=IP:127.0.0.1\n")
    for command in (
        "req -batch -days 3 -new -x509 -nodes -newkey rsa:2048 -keyout ca.key -out ca.pem -subj /CN=PVE",
        "req -batch -new -nodes -newkey rsa:2048 -keyout node.key -out node.csr -subj /CN=node01",
        "x509 -req -in node.csr -days 3 -CA ca.pem -CAkey ca.key -set_serial 2 -extfile ext -out node.pem",
    ):
        subprocess.run(["openssl", *command.split()], cwd=tmp_path, check=True, capture_output=True)
    pem = tmp_path / "both.pem"
    pem.write_text((tmp_path / "node.pem").read_text() + (tmp_path / "node.key").read_text())
    return tmp_path / "ca.pem", pem


def strict(make):
    """Contexts as Python 3.13 makes them."""

    def made(*args, **options):
        context = make(*args, **options)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    return made


def test_the_ca_of_proxmox_is_accepted_by_newer_pythons_too(own, use, monkeypatch):
    make = strict(urllib3.util.ssl_.create_urllib3_context)
    monkeypatch.setattr(urllib3.util.ssl_, "create_urllib3_context", make)
    monkeypatch.setattr(urllib3.connection, "create_urllib3_context", make)
    with serving(own[1], {}) as endpoint:
        assert use(endpoint, own[0]).get("nodes") == []


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["GET", "/nodes"], 0, '["node01"]\n'),
        (["GET", "/version"], 1, "Proxmox answered 403 Permission check failed (GET /version)\n"),
        (["POST", "/reboot", "timeout=3"], 1, "Proxmox answered 501 Unsupported method"),
        (["--insecure", "GET", "/nodes"], 0, '["node01"]\n'),
    ],
)
@pytest.mark.parametrize("trusted", [True, False])
def test_what_the_reboot_role_asks_with(own, monkeypatch, capsys, words, code, said, trusted):
    script = runpy.run_path(str(PLAYBOOKS_DIR / "roles/reboot/files/proxmox_api.py"))
    monkeypatch.setenv("SSL_CERT_FILE", str(own[0]) if trusted else "/dev/null")
    monkeypatch.setattr(ssl, "create_default_context", strict(ssl.create_default_context))
    answers = {"/nodes": (200, "OK", {"data": ["node01"]}), "/version": (403, "Permission check failed", {})}
    if not trusted and words[0] != "--insecure":
        code, said = 1, "Proxmox gave no answer: [SSL: CERTIFICATE_VERIFY_FAILED]"
    with serving(own[1], answers) as endpoint:
        words = [f"{endpoint.rstrip('/')}{word}" if word[0] == "/" else word for word in words]
        monkeypatch.setattr("sys.stdin", io.StringIO("a@pve!b=0-1\n"))
        assert script["main"](words) == code
    shown = capsys.readouterr()
    assert (shown.out + shown.err).startswith(said)
    assert "0-1" not in shown.out + shown.err


def test_down(use):
    assert "is down or out of reach: Connection refused" in problem(use("https://127.0.0.1:9"))


@pytest.mark.parametrize(
    ("endpoint", "token", "words"),
    [
        ("", "a@pve!b=c", "PROXMOX_VE_ENDPOINT is not set"),
        ("http://pve:8006", "a@pve!b=c", "must start with https://"),
        ("https://pve", "", "PROXMOX_VE_API_TOKEN is not set"),
        ("https://pve", "secret_0-1", "PROXMOX_VE_API_TOKEN has another form than user@realm!tokenid=secret"),
    ],
)
def test_environment(use, endpoint, token, words):
    with pytest.raises(Fault, match=words) as caught:
        use(endpoint, token=token)
    assert "0-1" not in str(caught.value)


def test_what_is_read(tmp_path, use):
    pem = certificate(tmp_path)
    entries = [
        {"vmid": 101, "node": "node02", "type": "lxc", "status": "running"},
        {"vmid": "9000", "name": "t", "node": "node01", "template": 1, "status": "stopped", "lock": "clone"},
    ]
    answers = {
        "cluster/resources": (200, "OK", {"data": entries[::-1]}),
        "nodes": (200, "OK", {"data": [{"node": "a", "status": "online"}, {"node": "b"}]}),
        "nodes/a/storage": (403, "no", {}),
        "nodes/b/storage": (200, "OK", {"data": [{"storage": "local", "content": "iso"}]}),
        "nodes/a/network": (200, "OK", {"data": [{"iface": "vmbr0"}]}),
        "nodes/b/network": (595, "No route to host", {}),
        "cluster/nextid": (400, "x", {"errors": {"vmid": "VM 500 already exists"}}),
    }
    with serving(pem, answers) as endpoint:
        client = use(endpoint, pem)
        assert client.guests() == [
            proxmox.Guest(101, "", "node02", False, "running", "", container=True),
            proxmox.Guest(9000, "t", "node01", True, "stopped", "clone"),
        ]
        assert client.nodes() == {"a": True, "b": False}
        assert client.storages("a") is None
        assert list(client.storages("b")) == ["local"]
        assert client.bridges("a") == {"vmbr0"}
        with pytest.raises(proxmox.Refused):
            client.bridges("b")
        assert not client.is_free(500)
        answers["cluster/nextid"] = (200, "OK", {"data": "500"})
        assert client.is_free(500)
        answers["cluster/nextid"] = (403, "no", {})
        with pytest.raises(proxmox.Refused):
            client.is_free(500)
