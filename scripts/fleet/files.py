"""Reading text, and writing it so that a reader sees the old text or the new one, never half of one."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from fleet.findings import Fault
from fleet.paths import shown


def read_text(path: Path) -> str:
    """A file's text with its line endings; "" when the file does not exist. Raises Fault."""
    try:
        raw = path.read_bytes()
        return raw.decode()
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise Fault("is not valid UTF-8; save the file as UTF-8", shown(path), line, code=2) from None
    except OSError as error:
        raise Fault(f"cannot be read: {error}", shown(path), code=2) from None


def write_text(path: Path, text: str, backup: str | Path | None = None) -> bool:
    """`write_atomic`, with a Fault for what a person can mend: a wrong path, no rights, a full disk."""
    try:
        return write_atomic(path, text, backup)
    except OSError as error:
        raise Fault(f"cannot be written: {error}", shown(path), code=2) from None


@contextlib.contextmanager
def temporary(prefix: str) -> Iterator[Path]:
    """A folder that only this user can read, removed at the end; on a runner in the job's own RUNNER_TEMP."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix=prefix, dir=os.environ.get("RUNNER_TEMP")) as folder:
        yield Path(folder)


def write_atomic(path: str | Path, text: str, backup: str | Path | None = None, mode: int = 0o644) -> bool:
    """Replace `path` by `text` (written as UTF-8, line endings untouched); True if it was changed.

    A file that already contains `text` is not touched. An existing file keeps its mode
    and owner, a new one gets `mode`.
    With `backup`, the old text is first put there in the same way. Raises OSError.
    """
    path = Path(path).resolve()  # a symlink stays one, what it points to is replaced
    if path.exists() and not path.is_file():  # a rename would take away a device or a pipe
        raise OSError(errno.EINVAL, "is not a regular file", str(path))
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
