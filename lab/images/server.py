"""The server of images over HTTP or HTTPS.

`serving` runs it in a thread of the caller's: the lab's daemon does so in the lab's network, tests on 127.0.0.1.
"""

import contextlib
import ssl
import sys
import tempfile
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

from lab import credentials
from lab.images import faults
from lab.images.shelf import Shelf
from lab.images.site import Handler


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], folder: Path, shelf: Shelf, tls: tuple[Path, Path] | None):
        super().__init__(address, Handler)
        self.folder, self.shelf, self.good, self.bad = folder, shelf, None, None
        if tls:
            self.good = _context(*tls)
            key, text = credentials.Authority("unknown CA").issue("images", [address[0]])
            with tempfile.TemporaryDirectory() as place:
                (file := Path(place, "pem")).write_text(text + key)
                self.bad = _context(file, file)

    def get_request(self):
        connection, address = super().get_request()
        context = self.bad if self.bad and faults.unknown_certificate(self.folder) else self.good
        if context:
            connection = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def handle_error(self, request, client_address) -> None:
        error = sys.exc_info()[1]
        if not isinstance(
            error, OSError
        ):  # a client that hangs up, or refuses the certificate, is what is tried here
            print(f"{client_address[0]}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)


def _context(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


@contextlib.contextmanager
def serving(
    address: tuple[str, int], folder: Path, shelf: Shelf, tls: tuple[Path, Path] | None = None
) -> Iterator[str]:
    """Serve until the end of the block; the site's address. `tls`: its certificate and its key."""
    with Server(address, folder, shelf, tls) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"{'https' if tls else 'http'}://{address[0]}:{server.server_port}"
        server.shutdown()
