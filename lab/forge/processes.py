"""The processes of a run: found by what each of them has in its environment, and ended."""

import contextlib
import os
import signal
import time
from pathlib import Path

from lab.forge import store


def mark(folder: Path, run: store.Run) -> str:
    """What every process of a run has in its environment, and no other process has."""
    return f"LAB_FORGE_RUN={folder}#{run.id}.{run.attempt}"


def processes(marker: str) -> list[int]:
    """The processes of a run, also those that left its process group and lost their parents."""
    found = []
    wanted = marker.encode()
    for environ in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if wanted in environ.read_bytes().split(b"\0"):
                found.append(int(environ.parent.name))
    return found


def kill(marker: str) -> None:
    """End all processes of a run at once, as a crash would."""
    while found := processes(marker):
        for number in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        time.sleep(0.02)
