"""Snippets in a folder of this computer, where the storage is mounted."""

import hashlib
from pathlib import Path

from fleet.files import write_atomic
from fleet.findings import Fault
from fleet.paths import shown
from fleet.snippets.settings import PREFIX, Settings


def checksum(settings: Settings, node: str, file: str) -> str:
    """The SHA-256 of what is there; "" without the file."""
    folder = Path(settings.folder)
    if not folder.is_dir():
        raise Fault(f"{PREFIX}_DIR is {folder}, which is not a folder here: mount the storage there, or set {PREFIX} to"
                    " ssh")  # fmt: skip
    try:
        return hashlib.sha256((folder / file).read_bytes()).hexdigest()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise Fault(f"cannot be read: {error.strerror}", shown(folder / file)) from None


def write(settings: Settings, node: str, file: str, data: bytes) -> None:
    path = Path(settings.folder) / file
    try:
        write_atomic(path, data.decode())
    except OSError as error:
        raise Fault(f"cannot be written: {error.strerror}", shown(path)) from None


def remove(settings: Settings, node: str, file: str) -> None:
    path = Path(settings.folder) / file
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise Fault(f"cannot be removed: {error.strerror}", shown(path)) from None
