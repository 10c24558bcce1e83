"""The table of the lab's daemons, and the lab's life: up, down, status."""

import contextlib
import fcntl
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from lab import (
    GATEWAY,
    ROOT,
    SECRET_NAMES,
    LabError,
    cgroup,
    credentials,
    environment,
    lab_dir,
    network,
    postgres,
    process,
    setup,
    vault,
)


def _nothing() -> None:
    pass


INOTIFY_INSTANCES = 4096


class Daemon(NamedTuple):
    name: str
    address: str
    argv: Callable[[], list[str]]
    ready: Callable[[], bool]  # runs outside the lab's network: see network.inside()
    prepare: Callable[[], None] = _nothing  # before each start
    provision: Callable[[], None] = _nothing  # after each start, and to repair
    seconds: float = 60  # it takes one or two; this is for a busy machine
    secrets: bool = False  # whether its environment has them, for what it runs


def _python(module: str, *arguments: str) -> Callable[[], list[str]]:
    return lambda: [sys.executable, "-m", module, *arguments]


def _installer() -> list[str]:
    apiserver = setup.entry("kubernetes") / "kube-apiserver"
    return [*_python("lab.k3s")(), f"--apiserver={apiserver}", f"--etcd={setup.etcd()}"]


def _forge_answers() -> bool:
    from lab.forge import client

    return client.alive()


def _listens(host: str, port: int) -> Callable[[], bool]:
    def ready() -> bool:
        with network.inside(), socket.create_connection((host, port), timeout=2):
            return True

    return ready


# In the order in which they are started.
DAEMONS = (
    Daemon("postgres", "127.0.0.1:5432", postgres.argv, postgres.ready, prepare=postgres.prepare),
    Daemon(
        "vault", "127.0.0.1:8200", vault.argv, vault.ready, prepare=vault.prepare, provision=vault.provision
    ),
    Daemon("proxmox", f"{GATEWAY}:8006", _python("lab.proxmox"), _listens(GATEWAY, 8006)),
    Daemon("k3s", f"{GATEWAY}:8080", _installer, _listens(GATEWAY, 8080)),
    Daemon(
        "forge",
        "127.0.0.1:3000",
        _python("lab.forge", "serve"),
        _forge_answers,
        secrets=True,
    ),
)
NAMES = tuple(daemon.name for daemon in DAEMONS)


def find(name: str) -> Daemon:
    try:
        return next(daemon for daemon in DAEMONS if daemon.name == name)
    except StopIteration:
        raise LabError(f"the lab has no daemon {name!r}; there are {', '.join(NAMES)}") from None


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
    """Start one daemon unless it runs, and see to it that it can be used."""
    daemon = find(name)
    env = environment()
    if not daemon.secrets:
        env = {key: value for key, value in env.items() if key not in SECRET_NAMES}
    env |= {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    started = process.start(name, daemon.argv(), env, daemon.ready, daemon.seconds, daemon.prepare)
    daemon.provision()
    return started


def down() -> None:
    """Stop the lab and leave nothing behind but files, whatever state it is in."""
    if lab_dir().exists():
        with locked():
            _down()
    else:
        _down()


def _down() -> None:
    steps = [functools.partial(process.stop, daemon.name) for daemon in reversed(DAEMONS)]
    # First what starts machines, then the machines, then whatever is still there.
    steps += [_stop_machines, cgroup.kill, _kill, _unmount, _detach_loops, network.down, cgroup.remove]
    for step in steps:
        with contextlib.suppress(LabError, OSError, ValueError):  # the others are done all the same
            step()
    for path in (lab_dir() / "run").glob("*"):
        if path.name != "lock" and not path.is_dir():
            path.unlink()
    if left := leftovers():
        raise LabError("still there after the lab was stopped:\n" + "\n".join(f"  {item}" for item in left))


def _stop_machines() -> None:
    """Switch the machines off as a host does that shuts down; they are started again with the lab."""
    if machines():
        from lab.proxmox.machines import stop_all

        stop_all()


def _kill() -> None:
    """End what was started in the lab's network by others, such as `lab exec`."""
    deadline = time.monotonic() + 10
    while (found := network.processes()) and time.monotonic() < deadline:
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def mounts() -> list[str]:
    """What is mounted below LAB_DIR, the innermost last."""
    base, found = f"{lab_dir()}/", []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        target = line.split()[4].encode().decode("unicode_escape")
        if target.startswith(base):
            found.append(target)
    return sorted(found, key=lambda target: target.count("/"))


def loops() -> list[str]:
    """The loop devices over files below LAB_DIR."""
    listed = subprocess.run(
        ["losetup", "--list", "--json", "--output", "NAME,BACK-FILE"], capture_output=True, text=True
    )
    devices = json.loads(listed.stdout or "{}").get("loopdevices", [])
    return [item["name"] for item in devices if (item["back-file"] or "").startswith(f"{lab_dir()}/")]


def _unmount() -> None:
    for target in reversed(mounts()):
        if subprocess.run(["umount", target], capture_output=True).returncode:
            subprocess.run(["umount", "--lazy", target], capture_output=True)


def _detach_loops() -> None:
    deadline = time.monotonic() + 10
    while (found := loops()) and time.monotonic() < deadline:  # a device goes when its last user has gone
        subprocess.run(["losetup", "--detach", *found], capture_output=True)
        time.sleep(0.05)


def leftovers() -> list[str]:
    """All that a stopped lab must not leave: processes, mounts, loop devices, network and control groups."""
    found = [f"process {pid}" for pid in sorted({*cgroup.pids(), *network.processes()} - {os.getpid()})]
    found += [f"mount {target}" for target in mounts()] + [f"loop device {name}" for name in loops()]
    found += [f"network namespace {network.path()}"] if network.path().exists() else []
    return found + [f"cgroup {base}" for base in map(cgroup.root, cgroup.hierarchies()) if base.exists()]


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
        state = "runs" if answers else "not ready" if pid else "stopped"
        found.append(State(daemon.name, daemon.address, state, pid))
    return found


def machines() -> list[str]:
    """The machines that run, by their cgroups."""
    return [name for name in cgroup.names() if not name.endswith(".daemon") and cgroup.pids(name)]
