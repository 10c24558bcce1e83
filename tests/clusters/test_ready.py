"""Asking a cluster's API from outside, with the kubeconfig that K3s writes."""

import base64
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

import wait_for_api
from fleet.clusters import ready

SCRIPT = Path(wait_for_api.__file__)


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> tuple[Path, Path]:
    """One certificate for all: authority, server at 127.0.0.1 and client."""
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-days", "1", "-subj", "/CN=test",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key", "-out", "crt"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    return folder / "crt", folder / "key"


@pytest.fixture
def server(pair: tuple[Path, Path], request) -> Iterator[int]:
    """A server that wants a client certificate and answers /readyz with the given status; its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked.append(self.path)
            while request.param == "drips":
                self.wfile.write(b"x")
                time.sleep(0.2)
            self.send_response(request.param if self.path == "/readyz" else 200)
            self.send_header("Location", "/elsewhere")
            self.end_headers()
            self.wfile.write(b"[-]etcd failed")

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """A client that has had enough."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)
    context.load_verify_locations(pair[0])
    context.verify_mode = ssl.CERT_REQUIRED
    served = Server(("127.0.0.1", 0), Handler)
    served.asked = []
    served.socket = context.wrap_socket(served.socket, server_side=True)
    threading.Thread(target=served.serve_forever, args=(0.02,), daemon=True).start()
    yield served.server_port
    assert set(served.asked) <= {"/readyz"}
    served.shutdown()
    served.server_close()


def kubeconfig(pair: tuple[Path, Path], port: int) -> str:
    crt, key = (base64.b64encode(path.read_bytes()).decode() for path in pair)
    cluster = {"server": f"https://127.0.0.1:{port}", "certificate-authority-data": crt}
    user = {"client-certificate-data": crt, "client-key-data": key}
    return yaml.safe_dump({"clusters": [{"cluster": cluster}], "users": [{"user": user}]})


def ask(text: str, address: str = "127.0.0.1") -> tuple[int, str]:
    argv = [sys.executable, str(SCRIPT), address, "--timeout=0"]
    done = subprocess.run(argv, input=text, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("server", "address", "code", "said"),
    [
        (200, "127.0.0.1", 0, "/readyz answered from outside"),
        (500, "127.0.0.1", 1, "/readyz answered 500: [-]etcd failed"),
        (307, "127.0.0.1", 1, "/readyz answered 307: a redirect to /elsewhere, which is not followed"),
        (200, "localhost", 1, "certificate is not valid for 'localhost'"),
    ],
    indirect=["server"],
)
def test_answers(server: int, address: str, code: int, said: str, pair: tuple[Path, Path]):
    found, output = ask(kubeconfig(pair, server), address)
    assert (found, said in output) == (code, True), output


@pytest.mark.parametrize("server", ["drips"], indirect=True)
def test_an_answer_that_never_ends(server: int, pair: tuple[Path, Path], monkeypatch):
    asked = ready.question(kubeconfig(pair, server), "127.0.0.1")
    monkeypatch.setattr(ready, "TIMEOUT", 1)
    started = time.monotonic()
    assert "its answer did not end in time" in ready.wait_at_most(asked, 0.5)
    assert time.monotonic() - started < 10


def test_nobody_there(pair: tuple[Path, Path]):
    code, output = ask(kubeconfig(pair, 1))
    assert (code, "https://127.0.0.1:1/readyz did not answer: " in output) == (1, True), output


@pytest.mark.parametrize(
    "text",
    [
        "",
        "- a list",
        "{unclosed: SECRET-KEY",
        "clusters: []",
        "clusters: [{cluster: {server: x}}]\nusers: [{}]",
        "clusters: x\nusers: y",
        "[" * 100_000,
        "[" * 5000,
        "clusters: " + "a" * (1 << 16),
    ],
)
def test_what_is_no_kubeconfig_is_refused_and_not_shown(text: str):
    code, output = ask(text)
    assert code == 2
    assert "cannot be used" in output
    assert "SECRET" not in output


def test_a_kubeconfig_without_end(pair: tuple[Path, Path]):
    """A machine that was taken over sends as much as it likes."""
    with Path("/dev/zero").open("rb") as endless:
        argv = [sys.executable, str(SCRIPT), "127.0.0.1", "--timeout=0"]
        done = subprocess.run(argv, stdin=endless, capture_output=True, text=True, timeout=30)
    assert (done.returncode, "cannot be used" in done.stderr) == (2, True)


@pytest.mark.parametrize("server", [200], indirect=True)
def test_a_kubeconfig_that_is_too_large(server: int, pair: tuple[Path, Path]):
    assert ask(kubeconfig(pair, server) + "#" * (1 << 16))[0] == 2
