"""An HTTPS server for tests that behaves as badly as it is told, and certificates for it."""

import contextlib
import datetime
import http.server
import ipaddress
import json
import ssl
import subprocess
import threading
import time
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

DAY = datetime.timedelta(days=1)


def certificate(folder, name: str = "127.0.0.1", age: int = 0):
    """A self-signed certificate for an address or a name, `age` days past its end; its path."""
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
def serving(pem, answers: dict[str, tuple | list], asked: list | None = None):
    """Serve `path: (status, reason, body)`, or a list of these that are given in turn; yields the endpoint.

    A body of "slow" comes late; the reason of a redirect is its address. `asked` gets each request as
    (method, path, body).
    """
    asked = [] if asked is None else asked

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            path, _, query = self.path.removeprefix("/api2/json/").partition("?")
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode() or query
            asked.append((self.command, path, sent))
            answer = answers.get(path, (200, "OK", {"data": []}))
            if isinstance(answer, list):
                answer = answer.pop(0) if len(answer) > 1 else answer[0]
            status, reason, body = answer
            if body == "slow":
                time.sleep(2)
            if body == "hang up":
                return self.connection.close()
            text = body if isinstance(body, str) else json.dumps(body)
            self.send_response(status, reason)
            if 300 <= status < 400:
                self.send_header("Location", reason)
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(text.encode())

        do_POST = do_PUT = do_DELETE = do_GET

        def log_message(self, *_):
            """Nothing is logged."""

    class Server(http.server.ThreadingHTTPServer):
        request_queue_size = 64  # with 5, clients that come at once wait a second

        def handle_error(self, *_):
            """A client that refuses the certificate is what is tested."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with Server(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"https://127.0.0.1:{server.server_port}/"
        server.shutdown()


def own_ca(folder: Path) -> tuple[Path, Path]:
    """A CA and a node's certificate, made by the commands by which Proxmox makes them."""
    (folder / "ext").write_text("basicConstraints=CA:FALSE\nsubjectAltName=IP:127.0.0.1\n")
    for command in (
        "req -batch -days 3 -new -x509 -nodes -newkey rsa:2048 -keyout ca.key -out ca.pem -subj /CN=PVE",
        "req -batch -new -nodes -newkey rsa:2048 -keyout node.key -out node.csr -subj /CN=node01",
        "x509 -req -in node.csr -days 3 -CA ca.pem -CAkey ca.key -set_serial 2 -extfile ext -out node.pem",
    ):
        subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)
    pem = folder / "both.pem"
    pem.write_text((folder / "node.pem").read_text() + (folder / "node.key").read_text())
    return folder / "ca.pem", pem
