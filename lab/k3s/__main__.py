"""Serve the lab's replacement for get.k3s.io and for K3s' releases: python -m lab.k3s

  /install.sh                                        the lab's install script, also as /install.sh.sha256
  /k3s-io/k3s/releases/download/VERSION/k3s          a release, and /sha256sum-amd64.txt beside it, as GitHub has them
  /v1-release/channels/stable                        redirects to an address that ends with the release
  /parts/NAME                                        what the stand-in has not inside itself, as kube-apiserver

The script and the releases contain the address from which they were downloaded, so they work behind any address.
Runs until it is ended; exits with 2 when a file is missing or the address cannot be used.
"""

import argparse
import hashlib
import re
import shutil
import sys
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from lab.k3s import releases

HERE = Path(__file__).parent
DOWNLOAD = re.compile(r".*/releases/download/([^/]+)/(k3s|sha256sum-amd64\.txt)")
CHANNEL = re.compile(r"/v1-release/channels/(stable|latest|v1\.\d+)")


def newest(channel: str) -> str | None:
    """The release to which a channel points: of a minor version its newest, of the others the one that is built."""
    of_minor = [version for version in releases.VERSIONS if version.startswith(f"{channel}.")]
    return releases.stable() if channel in ("stable", "latest") else max(of_minor, default=None)


def handler_of(k3s: Path, parts: dict[str, Path]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, body: bool) -> None:
            path = urllib.parse.unquote(self.path)
            address = f"http://{self.headers['Host']}"
            script = (HERE / "install.sh").read_text().replace("@BASE_URL@", address)
            name = path.removeprefix("/parts/")
            if path == "/install.sh":
                self.send(script.encode(), body)
            elif path == "/install.sh.sha256":
                self.send(hashlib.sha256(script.encode()).hexdigest().encode(), body)
            elif found := DOWNLOAD.fullmatch(path):
                self.download(*found.groups(), address, body)
            elif (found := CHANNEL.fullmatch(path)) and (version := newest(found[1])):
                self.redirect(f"{address}/k3s-io/k3s/releases/tag/{version}")
            elif re.fullmatch(r"/k3s-io/k3s/releases/tag/v[^/]+", path):
                self.send(b"", body)
            elif name in parts and path != name:
                self.send_file(parts[name], b"", body)
            else:
                self.send_error(404, "no such file")

        def download(self, version: str, name: str, address: str, body: bool) -> None:
            if version not in releases.VERSIONS:
                self.send_error(404, f"no such release; there are {', '.join(releases.VERSIONS)}")
                return
            release = releases.release(k3s, parts, version, address)
            if name == "k3s":
                self.send_file(release.program, release.end, body)
            else:
                self.send(f"{release.sha256()}  k3s\n".encode(), body)

        def redirect(self, to: str) -> None:
            self.send_response(302)
            self.send_header("Location", to)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def send_file(self, path: Path, end: bytes, body: bool) -> None:
            with path.open("rb") as file:
                self.start(path.stat().st_size + len(end))
                if body:
                    shutil.copyfileobj(file, self.wfile, 1 << 20)
                    self.wfile.write(end)

        def send(self, data: bytes, body: bool) -> None:
            self.start(len(data))
            if body:
                self.wfile.write(data)

        def start(self, length: int) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Content-Length", str(length))
            self.end_headers()

    return Handler


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bind", default="192.168.1.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=8080, help="port to listen on (%(default)s)")
    parser.add_argument("--k3s", type=Path, help="the program to hand out (the lab's)")
    options = parser.parse_args(argv)
    k3s, parts = options.k3s or releases.program(), releases.parts()
    for path in (k3s, *parts.values()):
        if not path.is_file():
            print(f"{path}: no such file", file=sys.stderr)
            return 2
    try:
        server = ThreadingHTTPServer((options.bind, options.port), handler_of(k3s, parts))
    except OSError as error:
        print(f"cannot listen on {options.bind}:{options.port}: {error.strerror}", file=sys.stderr)
        return 2
    print(f"handing out the K3s stand-in at http://{options.bind}:{options.port}/install.sh", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    raise SystemExit(main())
