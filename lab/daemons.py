"""The lab's life: up, down, status."""

import contextlib
import fcntl
import functools
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from lab import ROOT, LabError, cgroup, credentials, lab_dir, leftovers, network, process
from lab.environment import SECRET_NAMES, control_path_dir, environment
from lab.parts import DAEMONS, NAMES, find

INOTIFY_INSTANCES = 4096


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """One at a time changes what runs."""
    folder = lab_dir() / "run"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def up(names: Iterable[str] = NAMES) -> list[str]:
    """Bring the lab up, or repair it: starts what does not run, and returns the names of that."""
    chosen = [find(name) for name in names]
    with locked():
        lab_dir().chmod(0o755)
        credentials.prepare()
        _raise_limits()
        network.up()
        return [daemon.name for daemon in chosen if start(daemon.name)]


def _raise_limits() -> None:
    """Each machine's systemd takes about five inotify instances, and Debian allows root 128 in all.

    Beyond that a machine hangs half way through its boot. Not lowered again: another lab may need it.
    """
    limit = Path("/proc/sys/fs/inotify/max_user_instances")
    if int(limit.read_text()) < INOTIFY_INSTANCES:
        limit.write_text(f"{INOTIFY_INSTANCES}\n")


def start(name: str) -> bool:
    """Start one daemon unless it runs, and make it usable."""
    daemon = find(name)
    env = environment()
    if not daemon.secrets:
        env = {key: value for key, value in env.items() if key not in SECRET_NAMES}
    env |= {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    started = process.start(name, daemon.argv(), env, daemon.ready, daemon.seconds, daemon.prepare)
    daemon.provision()
    return started


def down() -> None:
    """Stop the lab in whatever state it is; only files remain."""
    if lab_dir().exists():
        with locked():
            _down()
    else:
        _down()


def _down() -> None:
    steps = [functools.partial(process.stop, daemon.name) for daemon in reversed(DAEMONS)]
    # First what starts machines, then the machines, then whatever is still there.
    steps += [_stop_machines, cgroup.kill, leftovers.end_processes, leftovers.unmount]
    steps += [leftovers.detach_loops, network.down, cgroup.remove]
    for step in steps:
        with contextlib.suppress(LabError, OSError, ValueError):  # the others are done all the same
            step()
    shutil.rmtree(control_path_dir(), ignore_errors=True)
    for path in (lab_dir() / "run").glob("*"):
        if path.name != "lock" and not path.is_dir():
            path.unlink()
    if left := leftovers.found_now():
        raise LabError(
            "these remain although the lab was stopped:\n" + "\n".join(f"  {item}" for item in left)
        )


def _stop_machines() -> None:
    """Switch the machines off as a host does that shuts down; they are started again with the lab."""
    if machines():
        from lab.proxmox.machines import stop_all

        stop_all()


class State(NamedTuple):
    name: str
    address: str
    state: str  # "runs", "stopped", "not ready"
    pid: int | None


def status() -> list[State]:
    found = []
    for daemon in DAEMONS:
        pid, answers = process.pid(daemon.name), False
        if pid:
            with contextlib.suppress(OSError, LabError):
                answers = daemon.ready()
        if daemon.on_demand and not pid:
            continue  # nobody has needed it
        state = "runs" if answers else "not ready" if pid else "stopped"
        found.append(State(daemon.name, daemon.address, state, pid))
    return found


def machines() -> list[str]:
    """The machines that run, by their cgroups."""
    return [name for name in cgroup.names() if not name.endswith(".daemon") and cgroup.pids(name)]
