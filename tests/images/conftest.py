"""An image site in this process, over HTTPS, which can misbehave."""

import contextlib
import hashlib
import http.server
import ssl
import threading
import time

import pytest

from fleet.images import web
from tests.helpers.https_server import certificate


class Site:
    """Files by path. Folders get listings, as Apache writes them; `faults` are by path."""

    def __init__(self):
        self.files: dict[str, bytes] = {}
        self.faults: dict[str, object] = {}  # a status, a redirect's address, "slow", "cut", "endless"
        self.asked: list[str] = []
        self.url = ""

    def publish(self, folder: str, *names: str, content: str, sums: str = "SHA512SUMS") -> str:
        """Put files of one content into a folder, with a checksum file beside them; the checksum."""
        algorithm = "sha512" if "512" in sums else "sha256"
        digest = hashlib.new(algorithm, content.encode()).hexdigest()
        for name in names:
            self.files[folder + name] = content.encode()
        if sums == "CHECKSUM":
            text = "".join(f"# {name}: {len(content)} bytes\nSHA256 ({name}) = {digest}\n" for name in names)
        else:
            text = "".join(f"{digest}  {name}\n" for name in names)
        self.files[folder + sums] = self.files.get(folder + sums, b"") + text.encode()
        return digest

    def listing(self, folder: str) -> bytes | None:
        below = (path[len(folder) :] for path in self.files if path.startswith(folder))
        names = sorted(
            {name if not slash else f"{name}/" for name, slash, _ in (path.partition("/") for path in below)}
        )
        links = "".join(
            f'<img alt="[DIR]"> <a href="{name}">{name}</a>\n' for name in ["../", "?C=M;O=A", *names]
        )
        return f"<html><body><pre>{links}</pre></body></html>".encode() if names else None


@pytest.fixture(scope="session")
def pem(tmp_path_factory):
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def site(pem, monkeypatch):
    found = Site()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            found.asked.append(f"{self.command} {self.path}")
            fault = found.faults.get(self.path)
            body = found.files.get(self.path)
            if body is None and self.path.endswith("/"):
                body = found.listing(self.path)
            if isinstance(fault, str) and "://" in fault:
                self.send_response(302)
                self.send_header("Location", fault)
                body = b""
            elif isinstance(fault, int) or body is None:
                self.send_response(fault or 404)
                body = b"<html>sorry</html>"
            else:
                self.send_response(200)
                self.send_header("Last-Modified", "Tue, 03 Nov 2026 23:30:00 GMT")
            if fault != "endless":
                self.send_header("Content-Length", str(len(body)))
            self.send_header("Connection", "close")
            self.end_headers()
            with contextlib.suppress(OSError):
                if self.command == "GET":
                    self.send_body(body, fault)

        do_HEAD = do_GET

        def send_body(self, body, fault):
            if fault == "cut":
                body = body[: len(body) // 2]
            for byte in body if fault == "slow" else ():
                self.wfile.write(bytes([byte]))
                time.sleep(0.1)
            while fault == "endless":
                self.wfile.write(b"<a href='x'>" * 10_000)
            if fault != "slow":
                self.wfile.write(body)

        def log_message(self, *_):
            """Nothing is logged."""

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, *_):
            """A client that refuses the certificate is what is tested."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(web, "TIMEOUT", 3)
    monkeypatch.setattr(web, "DEADLINE", 3)
    with Server(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        found.url = f"https://127.0.0.1:{server.server_port}"
        yield found
        server.shutdown()
