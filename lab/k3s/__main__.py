"""Serve the lab's replacement for get.k3s.io: python -m lab.k3s

Offers /install.sh, /k3s, /kube-apiserver and /etcd, each also as NAME.sha256; the programs come from the
lab's cache. The script contains the address from which it was downloaded, so it works behind any address.
Runs until it is ended; exits with 2 when a file is missing or the address cannot be used.
"""

import argparse
import hashlib
import shutil
import sys
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from lab import builds, cache_dir, packages

HERE = Path(__file__).parent


@cache
def checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def version() -> str:
    """Of the kube-apiserver that is handed out, as 1.34.4."""
    return builds.version(next(build for build in builds.BUILDS if build.name == "kubernetes"))


def handler_of(files: dict[str, Path]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, body: bool) -> None:
            name = self.path.lstrip("/")
            path = files.get(name.removesuffix(".sha256"))
            if path is None:
                self.send_error(404, f"no such file; there are {', '.join(files)}")
            elif name.endswith(".sha256"):
                self.send_text(checksum(path), body)
            elif name == "install.sh":
                text = path.read_text().replace("@BASE_URL@", f"http://{self.headers['Host']}")
                self.send_text(text.replace("@APISERVER_VERSION@", version()), body)
            else:
                with path.open("rb") as file:
                    self.start(path.stat().st_size)
                    if body:
                        shutil.copyfileobj(file, self.wfile, 1 << 20)

        def send_text(self, text: str, body: bool) -> None:
            data = text.encode()
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
    parser.add_argument("--apiserver", type=Path, help="the kube-apiserver to hand out (the lab's)")
    parser.add_argument("--etcd", type=Path, help="the etcd to hand out (the lab's)")
    options = parser.parse_args(argv)
    files = {
        "install.sh": HERE / "install.sh",
        "k3s": HERE / "k3s",
        "kube-apiserver": options.apiserver or builds.entry("kubernetes") / "kube-apiserver",
        "etcd": options.etcd or packages.etcd() or cache_dir() / "etcd-*/etcd",
    }
    for path in files.values():
        if not path.is_file():
            print(f"{path}: no such file", file=sys.stderr)
            return 2
    try:
        server = ThreadingHTTPServer((options.bind, options.port), handler_of(files))
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
