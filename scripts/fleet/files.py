"""Writing files so that a reader sees the old text or the new one, never half of one."""

import contextlib
import errno
import os
from pathlib import Path


def write_atomic(path: str | Path, text: str, backup: str | Path | None = None, mode: int = 0o644) -> bool:
    """Replace `path` by `text` (written as UTF-8, line endings untouched); True if it was changed.

    A file that already says `text` is left alone. An existing file keeps its mode
    and owner, a new one gets `mode`.
    With `backup`, the old text is first put there in the same way. Raises OSError.
    """
    path = Path(path).resolve()  # a symlink stays one, what it points to is replaced
    if path.exists() and not path.is_file():  # a rename would take away a device or a pipe
        raise OSError(errno.EINVAL, "is no regular file", str(path))
    old = path.read_bytes() if path.exists() else None
    new = text.encode()
    if old == new:
        return False
    owner = (-1, -1)
    if old is not None:
        status = path.stat()
        mode, owner = status.st_mode & 0o7777, (status.st_uid, status.st_gid)
        if backup is not None:
            _replace(Path(backup), old, mode, owner)
    _replace(path, new, mode, owner)
    return True


def _replace(path: Path, data: bytes, mode: int, owner: tuple[int, int]) -> None:
    import tempfile  # with all that it imports; most calls write nothing

    # The same directory, since a rename is atomic only within one file system.
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            if os.geteuid() == 0:  # nobody else may give a file away
                os.fchown(file.fileno(), *owner)
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException as error:
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # of a full disk too
        with contextlib.suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
