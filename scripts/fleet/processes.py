"""Programs that this one starts: signals reach them and all that they started, and none is left behind."""

import contextlib
import ctypes
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

KEPT, MOST = 8192, 1 << 20  # bytes of a machine's answer
GRACE = 10  # seconds between a signal that is passed on and SIGKILL
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


@contextlib.contextmanager
def exit_on_signals() -> Iterator[None]:
    """Leave by an exception on SIGTERM too, so that keys are removed and children ended."""

    def leave(signum: int, _frame: object) -> None:
        raise SystemExit(128 + signum)

    before = {signum: signal.signal(signum, leave) for signum in _SIGNALS}
    try:
        yield
    except BaseException:
        signal_descendants(signal.SIGTERM)
        raise
    finally:
        _restore(before)


def run_passing_signals(command: list[str], environment: Mapping[str, str]) -> tuple[int, int]:
    """Run a command to its end; its exit status, and the signal that was passed on to it, or 0.

    Ansible's workers are in sessions of their own, so that no signal to its process group reaches them: all
    descendants get it, those that lost their parent too, and after GRACE seconds SIGKILL.
    """
    stopped: list[int] = []
    done = threading.Event()

    def kill_later() -> None:
        if not done.wait(GRACE):
            signal_descendants(signal.SIGKILL)

    def pass_on(signum: int, _frame: object) -> None:
        stopped.append(signum)
        signal_descendants(signum)
        if len(stopped) == 1:
            threading.Thread(target=kill_later, daemon=True).start()

    before = {signum: signal.signal(signum, pass_on) for signum in _SIGNALS}
    try:
        _prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: orphans become ours
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
        code = process.wait()
        if stopped:
            signal_descendants(signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:  # the orphans that have ended
                pass
        return code, stopped[0] if stopped else 0
    finally:
        done.set()
        _restore(before)


class Endless(Exception):
    """A command printed more than MOST bytes."""


def answer(command: list[str], timeout: float, most: int = KEPT, **options: Any) -> CompletedProcess[str]:
    """Run a command that prints what a machine says, at most `timeout` seconds; `options` are those of Popen.

    A machine that was taken over may answer without end: of each stream the last `most` bytes are held, and after MOST
    bytes the command is ended. Raises Endless, subprocess.TimeoutExpired.
    """
    end, total = time.monotonic() + timeout, 0
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, **options) as process:
        kept = {process.stdout: bytearray(), process.stderr: bytearray()}
        try:
            with selectors.DefaultSelector() as selector:
                for stream in kept:
                    selector.register(stream, selectors.EVENT_READ)
                while selector.get_map():
                    if (left := end - time.monotonic()) <= 0:
                        raise subprocess.TimeoutExpired(command, timeout)
                    for key, _ in selector.select(left):
                        data = os.read(key.fd, 1 << 16)
                        if not data:
                            selector.unregister(key.fileobj)
                        kept[key.fileobj] += data
                        del kept[key.fileobj][:-most]
                        total += len(data)
                    if total > MOST:
                        raise Endless
            process.wait(max(end - time.monotonic(), 0.1))
        except BaseException:
            process.kill()
            raise
    texts = (text.decode(errors="replace") for text in kept.values())
    return CompletedProcess(command, process.returncode, *texts)


def signal_descendants(signum: int) -> None:
    for pid in _descendants():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signum)


def _descendants() -> list[int]:
    """The processes below this one, as /proc has them now; parents before their children."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError, ValueError):
            # The second field, the name, may contain spaces and brackets.
            parent = int((folder / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(folder.name))
    found = list(children.get(os.getpid(), ()))
    for pid in found:
        found += children.get(pid, ())
    return found


def _restore(handlers: Mapping) -> None:
    for signum, handler in handlers.items():
        signal.signal(signum, handler)


def die_with_parent() -> None:
    _prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG: a killed run leaves nothing behind


def _prctl(option: int, value: int) -> None:
    if _LIBC:
        _LIBC.prctl(option, value, 0, 0, 0)
