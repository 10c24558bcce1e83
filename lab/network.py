"""The lab's network namespace: a loopback, the bridge vmbr0 with 192.168.1.1/24, and no way out.

The namespace is kept by a mount on /run/netns/lab-<id>. It is entered with `nsenter --net`: `ip netns exec`
would also mount a new /sys, in which systemd-nspawn does not start.
"""

import contextlib
import ctypes
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

from lab import BRIDGE, GATEWAY, PREFIX, LabError, lab_id

_CLONE_NEWNET = 0x40000000


def path() -> Path:
    return Path("/run/netns") / f"lab-{lab_id()}"


def exists() -> bool:
    """Whether the namespace is there; a plain file of the name is what is left of one."""
    return path().exists() and path().stat().st_dev != path().parent.stat().st_dev


def inside_argv(argv: list[str]) -> list[str]:
    """The command that runs `argv` in the lab's network."""
    return ["nsenter", f"--net={path()}", "--", *argv]


def up() -> None:
    """Make the namespace and what is missing in it."""
    if not exists():
        _folder(path().parent)
        path().touch()
        _run(["unshare", f"--net={path()}", "--", "true"])
    links = _run(inside_argv(["ip", "-br", "address"]))
    if BRIDGE not in links:
        _run(inside_argv(["ip", "link", "add", BRIDGE, "type", "bridge", "forward_delay", "0"]))
    if f"{GATEWAY}/{PREFIX}" not in links:
        # A fixed address: otherwise the bridge takes the lowest of its ports', and changes it as they come.
        _run(inside_argv(["ip", "link", "set", BRIDGE, "address", "02:00:5e:00:01:01", "up"]))
        _run(inside_argv(["ip", "address", "add", f"{GATEWAY}/{PREFIX}", "dev", BRIDGE]))
        _run(inside_argv(["ip", "link", "set", "lo", "up"]))


def _folder(folder: Path) -> None:
    """The folder of namespaces as a mount, which `ip netns add` makes of it otherwise, over what is there by then."""
    folder.mkdir(parents=True, exist_ok=True)
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    if str(folder) not in [line.split()[4] for line in mounts]:
        _run(["mount", "--bind", str(folder), str(folder)])
        _run(["mount", "--make-shared", str(folder)])


def down() -> None:
    if exists():  # now, even if something holds the namespace itself a little longer
        subprocess.run(inside_argv(["ip", "link", "delete", BRIDGE]), capture_output=True)
    while exists():
        _run(["umount", "--lazy", str(path())])
    path().unlink(missing_ok=True)


def enter() -> None:
    """Move the calling thread into the lab's network."""
    setns(path())


@contextlib.contextmanager
def inside() -> Iterator[None]:
    """Sockets that this thread opens in here are in the lab's network; other threads stay where they are."""
    before = os.open(f"/proc/{os.getpid()}/task/{threading.get_native_id()}/ns/net", os.O_RDONLY)
    try:
        enter()
        try:
            yield
        finally:
            setns(before)
    finally:
        os.close(before)


def processes() -> list[int]:
    """The processes that are in the lab's network, but for this one and those it was started from."""
    if not exists():
        return []
    wanted, found, own = path().stat().st_ino, [], _ancestors()
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (entry / "ns/net").stat().st_ino == wanted and int(entry.name) not in own:
                found.append(int(entry.name))
    return found


def _ancestors() -> set[int]:
    found, pid = set(), os.getpid()
    while pid:
        found.add(pid)
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return found


def setns(target: int | Path) -> None:
    """Move the calling thread into the namespace of this path, or of this open file."""
    # os.setns only came with Python 3.12.
    handle = target if isinstance(target, int) else os.open(target, os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(handle, _CLONE_NEWNET):
            number = ctypes.get_errno()
            raise LabError(f"cannot enter the lab's network: {os.strerror(number)} (the lab needs root)")
    finally:
        if handle is not target:
            os.close(handle)


def _run(argv: list[str]) -> str:
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode:
        raise LabError(f"{' '.join(argv)}: {done.stderr.strip()}")
    return done.stdout
