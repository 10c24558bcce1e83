"""What the site answers: whole files or parts of them, folders, redirects, and faults."""

import email.utils
import re
import ssl
import sys
import tempfile
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import unquote, urlsplit

from lab.images import faults, layout, listing

PIECE = 64 << 10


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "Apache/2.4.62 (Debian)", ""

    def setup(self) -> None:
        if isinstance(self.request, ssl.SSLSocket):
            self.request.do_handshake()  # here, in the connection's own thread
        super().setup()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        fault = faults.take(self.server.folder, path)
        files = layout.files(self.server.shelf.builds())
        if "moved" in fault:
            return self.redirect(fault["moved"], fault.get("status", 302))
        if "status" in fault:
            return self.text(f"<h1>{fault['status']}</h1>\n", fault["status"])
        found = fault["body"].encode() if "body" in fault else files.get(path)
        if found is not None:
            if fault.get("wrong_sum") and isinstance(found, bytes):
                found = re.sub(rb"[0-9a-f]{64,}", lambda sum_: sum_[0][::-1], found)
            return self.content(found, fault)
        self.listing(path, files)

    do_HEAD = do_GET

    def listing(self, path: str, files: layout.Files) -> None:
        start, sizes = path.rstrip("/") + "/", {}
        for name in (name.removeprefix(start) for name in files if name.startswith(start)):
            first, slash, _ = name.partition("/")
            sizes[first + slash] = None if slash else _size(files[start + name])
        if not sizes:
            self.text("<h1>Not Found</h1>\n", 404)
        elif path == start:
            self.text(listing.page(path, sizes))
        else:
            self.redirect(start, 301)

    def redirect(self, target: str, status: int) -> None:
        self.send_response(status)
        self.send_header("Location", target)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def text(self, text: str, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/html;charset=UTF-8")
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text.encode())

    def content(self, found: Path | bytes, fault: dict) -> None:
        """A file or a part of it; with a fault slowly, or not to its end."""
        size, first = _size(found), 0
        part = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if part and not fault.get("no_range"):
            first = int(part[1])
            if first >= size:
                return self.text("<h1>Requested Range Not Satisfiable</h1>\n", 416)
        self.send_response(206 if part and first else 200)
        if first:
            self.send_header("Content-Range", f"bytes {first}-{size - 1}/{size}")
        if not fault.get("no_range"):
            self.send_header("Accept-Ranges", "bytes")
        if isinstance(found, Path):
            self.send_header("Last-Modified", email.utils.formatdate(found.stat().st_mtime, usegmt=True))
        self.send_header(
            "Content-Type", "application/octet-stream" if isinstance(found, Path) else "text/plain"
        )
        self.send_header("Content-Length", str(size - first))
        self.end_headers()
        if self.command != "HEAD":
            self.send(found, first, size, fault)

    def send(self, found: Path | bytes, first: int, size: int, fault: dict) -> None:
        end, rate = min(size, first + fault.get("cut", size)), fault.get("rate")
        with found.open("rb") if isinstance(found, Path) else tempfile.TemporaryFile() as stream:
            if isinstance(found, bytes):
                stream.write(found)
            stream.seek(first)
            while first < end:
                piece = stream.read(min(PIECE, end - first, max(1, (rate or 10 * PIECE) // 10)))
                self.wfile.write(piece)
                first += len(piece)
                if rate:
                    time.sleep(len(piece) / rate)
        if end < size:
            self.close_connection = True

    def log_message(self, form, *values) -> None:
        print(
            f"{time.strftime('%H:%M:%S')} {self.client_address[0]} {form % values}",
            file=sys.stderr,
            flush=True,
        )


def _size(found: Path | bytes) -> int:
    return found.stat().st_size if isinstance(found, Path) else len(found)
