"""What goes wrong on the site: faults.json beside the published builds, read at each request.

A list of objects. `match` is a regular expression searched in the path; `times` (default: for ever) counts
down at each use.

    {"match": "SHA512SUMS", "status": 404}                 an answer without a file, here: it is gone
    {"match": "qcow2$", "moved": "/mirror/a.qcow2"}        a redirect to a path or an address; 302, or `status`
    {"match": "qcow2$", "rate": 100000}                    slow: bytes in a second
    {"match": "qcow2$", "cut": 5000, "times": 1}           the connection ends after so many bytes
    {"match": "qcow2$", "no_range": true}                  a request for a part gets the whole
    {"match": "SUMS$", "wrong_sum": true}                  another sum than the file has
    {"match": "/bookworm/$", "body": "<html>…"}            another content
    {"certificate": "unknown"}                             from a CA that nobody knows, for every connection

From Python: `with faults.injected(folder, {...}, {...}): …`.
"""

import contextlib
import json
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path

_COUNTING = threading.Lock()


def _path(folder: Path) -> Path:
    return folder / "faults.json"


def current(folder: Path) -> list[dict]:
    try:
        return json.loads(_path(folder).read_text())
    except FileNotFoundError:
        return []


def inject(folder: Path, *faults: dict) -> None:
    """Replace all faults by these; with none, all is well again."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".faults.{os.getpid()}"
    temporary.write_text(json.dumps(faults))
    temporary.replace(_path(folder))


@contextlib.contextmanager
def injected(folder: Path, *faults: dict) -> Iterator[None]:
    inject(folder, *faults)
    try:
        yield
    finally:
        inject(folder)


def take(folder: Path, path: str) -> dict:
    """The first fault that matches, counted down; empty if nothing goes wrong."""
    with _COUNTING:
        faults = current(folder)
        for fault in faults:
            if "match" in fault and re.search(fault["match"], path):
                if "times" in fault:
                    fault["times"] -= 1
                    inject(folder, *(other for other in faults if other.get("times", 1) > 0))
                return fault
    return {}


def unknown_certificate(folder: Path) -> bool:
    return any(fault.get("certificate") == "unknown" for fault in current(folder))
