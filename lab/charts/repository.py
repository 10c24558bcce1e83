"""A chart repository of a folder of charts: packed by helm, with its index, served over HTTP."""

import contextlib
import functools
import subprocess
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from lab import LabError, builds

SOURCES = Path(__file__).parent / "sources"


def pack(folder: Path, sources: Path = SOURCES) -> None:
    """Pack each chart of `sources` into `folder`, and write the index. Raises LabError."""
    folder.mkdir(parents=True, exist_ok=True)
    charts = sorted(path.parent for path in sources.glob("*/Chart.yaml"))
    helm(["package", f"--destination={folder}", *map(str, charts)])
    index(folder)


def index(folder: Path) -> None:
    """Make a repository of a folder of packed charts. Raises LabError."""
    helm(["repo", "index", str(folder)])


def helm(arguments: list[str]) -> None:
    done = subprocess.run(
        [builds.entry("helm") / "helm", *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise LabError(f"helm {arguments[0]}: {done.stderr.strip()}")


class Handler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


def server(folder: Path, address: tuple[str, int]) -> ThreadingHTTPServer:
    return ThreadingHTTPServer(address, functools.partial(Handler, directory=str(folder)))


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve a packed repository at a port of 127.0.0.1 until the end of the block; its address."""
    with server(folder, ("127.0.0.1", 0)) as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{made.server_port}"
        made.shutdown()
