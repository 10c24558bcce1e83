"""Daemons of the lab: started so that they outlive whoever started them, each in a cgroup of its own.

LAB_DIR/run/NAME.pid holds process id and start time, so that an unrelated process with the same
id is not mistaken for the daemon; LAB_DIR/log/NAME.log holds what it prints.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from lab import LabError, cgroup, lab_dir, network

# The new process writes its id to the pid file, then becomes the daemon.
_LAUNCH = """
for procs in $LAUNCH_CGROUPS; do echo $$ > "$procs" || exit 125; done
stat=$(cat /proc/$$/stat)
echo "$$ $(echo "${stat##*) }" | cut -d" " -f20)" > "$LAUNCH_PIDFILE.new" || exit 125
mv "$LAUNCH_PIDFILE.new" "$LAUNCH_PIDFILE"
unset LAUNCH_CGROUPS LAUNCH_PIDFILE
exec "$@"
"""


def pidfile(name: str) -> Path:
    return lab_dir() / "run" / f"{name}.pid"


def logfile(name: str) -> Path:
    return lab_dir() / "log" / f"{name}.log"


def pid(name: str) -> int | None:
    """The daemon's process id if it runs."""
    try:
        number, start = pidfile(name).read_text().split()
        state, *fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return None
    return int(number) if state not in "ZX" and fields[18] == start else None


def start(
    name: str,
    argv: list[str],
    env: dict[str, str] | None = None,
    ready: Callable[[], bool] = lambda: True,
    seconds: float = 30,
    prepare: Callable[[], None] = lambda: None,
) -> bool:
    """Start a daemon in the lab's network unless it runs, and wait until it is ready; False if it ran.

    `prepare` is called when nothing of the daemon runs, right before it is started.
    """

    def settled() -> bool:
        return not pid(name) or _ready(ready)

    if pid(name):
        _wait(settled, seconds, name, "is not ready")
        if pid(name):
            return False
    kill(name)  # remains of one that died
    prepare()
    _launch(name, argv, env)
    _wait(settled, seconds, name, "is not ready")
    if not pid(name):
        raise LabError(f"{name} ended while it started; the end of {logfile(name)}:\n{tail(name)}")
    return True


def _launch(name: str, argv: list[str], env: dict[str, str] | None) -> None:
    for folder in (pidfile(name).parent, logfile(name).parent):
        folder.mkdir(parents=True, exist_ok=True)
    folders = cgroup.make(f"{name}.daemon")
    launch = {
        **(os.environ if env is None else env),
        "LAUNCH_CGROUPS": " ".join(str(folder / "cgroup.procs") for folder in folders),
        "LAUNCH_PIDFILE": str(pidfile(name)),
    }
    with logfile(name).open("ab") as output:
        subprocess.run(
            ["setsid", "--fork", "sh", "-c", _LAUNCH, name, *network.inside_argv(argv)],
            env=launch, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=True,
        )  # fmt: skip
    _wait(pidfile(name).exists, 10, name, "did not start")


def stop(name: str, seconds: float = 10) -> None:
    """Ask a daemon to end, then end it and all that it started in its cgroup."""
    number = pid(name)
    if number:
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal.SIGTERM)
        deadline = time.monotonic() + seconds
        while pid(name) and time.monotonic() < deadline:
            time.sleep(0.02)
    kill(name)


def kill(name: str) -> None:
    """End a daemon without asking, as a crash would."""
    cgroup.kill(f"{name}.daemon")
    cgroup.remove(f"{name}.daemon")
    pidfile(name).unlink(missing_ok=True)


def tail(name: str, lines: int = 15) -> str:
    try:
        return "\n".join(logfile(name).read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return "(no log)"


def follow(name: str) -> Iterator[str]:
    """The lines of a log as they come, beginning with the last ones."""
    yield tail(name) + "\n"
    with logfile(name).open(errors="replace") as log:
        log.seek(0, os.SEEK_END)
        while True:
            line = log.readline()
            if line:
                yield line
            else:
                time.sleep(0.2)


def _ready(ready: Callable[[], bool]) -> bool:
    try:
        return ready()
    except OSError:
        return False


def _wait(check: Callable[[], bool], seconds: float, name: str, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            raise LabError(f"{name} {what} after {seconds:.0f} s; the end of {logfile(name)}:\n{tail(name)}")
        time.sleep(0.05)
