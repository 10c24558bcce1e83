"""A small server that answers as GitHub's API does: what, the test says."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit


class Request(NamedTuple):
    method: str
    path: str
    query: dict[str, list[str]]
    sent: Any
    headers: Mapping[str, str]


@contextlib.contextmanager
def serving(answer: Callable[[Request], tuple[int, Any]]) -> Iterator[str]:
    """The server's address. `answer`: the status and the data of a request's answer."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            parts, length = urlsplit(self.path), int(self.headers.get("Content-Length") or 0)
            sent = json.loads(self.rfile.read(length)) if length else None
            status, data = answer(
                Request(self.command, parts.path, parse_qs(parts.query), sent, self.headers)
            )
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(data).encode())

        do_POST = do_PATCH = do_GET

        def log_message(self, *_):
            """Nothing is logged."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
