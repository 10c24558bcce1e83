"""A form with one file, as pveproxy reads it: the file goes to disk, its place is the parameter `tmpfilename`.

The file is the last part, and its field is called `filename`; of the fields before it, only these are read.
"""

import re
import secrets
from email.message import Message
from pathlib import Path
from typing import BinaryIO

from lab.proxmox import state
from lab.proxmox.errors import ApiError

FIELDS = ("content", "checksum", "checksum-algorithm")
DISPOSITION = re.compile(
    r'Content-Disposition: form-data; name="([^"]*)"(?:; filename="([^"]+)")?', re.IGNORECASE
)
EPILOGUE = 16  # bytes that may follow the last boundary


class _Body:
    """A request's body, and never more of it than there is."""

    def __init__(self, stream: BinaryIO, left: int):
        self.stream, self.left = stream, left

    def read(self, size: int = -1) -> bytes:
        found = self.stream.read(self.left if size < 0 else min(size, self.left))
        self.left -= len(found)
        return found

    def line(self) -> bytes:
        found = self.stream.readline(min(self.left, 64 << 10))
        self.left -= len(found)
        return found


def read(stream: BinaryIO, headers: Message) -> dict[str, str]:
    """The parameters of an upload."""
    boundary = f"--{headers.get_boundary()}".encode()
    body, parameters = _Body(stream, int(headers["Content-Length"] or 0)), {}
    line = body.line()
    while line.strip() == boundary:
        head = b"".join(iter(lambda: body.line().strip(), b"")).decode()
        found = DISPOSITION.search(head)
        if not found:
            break
        if found[2]:
            if found[1] != "filename":
                raise ApiError(f"wrong field name '{found[1]}' for file upload, expected 'filename'")
            return parameters | {
                "filename": found[2].strip(),
                "tmpfilename": str(_save(body, boundary + b"--")),
            }
        value = b""
        while (line := body.line()) and line.strip() != boundary:
            value += line
        if found[1] in FIELDS:
            parameters[found[1]] = value.decode().strip()
    raise ApiError("upload failed")


def _save(body: _Body, close: bytes) -> Path:
    """Write the last part to disk; its line break before the boundary is not part of it."""
    folder = state.root() / "uploads"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"pveupload-{secrets.token_hex(16)}"
    with file.open("wb") as target:
        end = len(close) + EPILOGUE
        while body.left > end and (piece := body.read(min(1 << 20, body.left - end))):
            target.write(piece)
        last, found, _ = body.read().partition(close)
        target.write(last.removesuffix(b"\n").removesuffix(b"\r"))
    if not found:
        file.unlink()
        raise ApiError("upload failed")
    return file
