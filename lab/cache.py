"""Things made once into the cache, and told about meanwhile; commands with their output in a log."""

import contextlib
import fcntl
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from lab import LabError, lab_dir


def say(text: str) -> None:
    print(f"[lab] {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def made(target: Path, what: str) -> Iterator[Path | None]:
    """Give a temporary folder that becomes `target` at the end; None if another process made it meanwhile."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / f".{target.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say(f"waiting for another process that makes {what}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        if target.exists():
            yield None
            return
        for left in target.parent.glob(f".{target.name}.new-*"):  # by a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.new-", dir=target.parent))
        temporary.chmod(0o755)
        try:
            yield temporary
            temporary.rename(target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def patience(what: str, usual: str) -> Iterator[None]:
    """Say what is waited for, that it still is every half minute, and how long it took."""
    say(f"{what} (usually {usual})")
    start, done = time.monotonic(), threading.Event()

    def remind() -> None:
        while not done.wait(30):
            say(f"  {time.monotonic() - start:.0f} s so far: {what}")

    reminder = threading.Thread(target=remind, daemon=True)
    reminder.start()
    try:
        yield
    finally:
        done.set()
        reminder.join()
    say(f"  done in {time.monotonic() - start:.0f} s: {what}")


# Processes and mounts of a command that is run behind these end with it, and it with us, however we end.
CONTAINED = ("setpriv", "--pdeathsig=KILL", "unshare", "--mount", "--propagation=private", "--pid", "--fork",
             "--kill-child", "--mount-proc")  # fmt: skip


def run(argv: list[str], log: str, contained: bool = True, **options) -> None:
    """Run a command with its output in LAB_DIR/log; show the end of that if it fails."""
    path = lab_dir() / "log" / f"setup-{log}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as output:
        done = subprocess.run(
            [*CONTAINED, *argv] if contained else argv,
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, **options,
        )  # fmt: skip
    if done.returncode:
        end = "\n".join(path.read_text(errors="replace").splitlines()[-20:])
        raise LabError(f"{' '.join(argv)} failed ({done.returncode}); the end of {path}:\n{end}")
