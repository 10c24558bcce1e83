"""Control groups lab-<id>/<name>, on hosts with cgroup v2, v1, or both side by side.

Each daemon and each machine gets one, so that every process it started can be found and ended.
A group exists in every hierarchy, since systemd in a machine uses all of them as its own.
"""

import contextlib
import os
import signal
import time
from pathlib import Path

from lab import LabError, lab_id


def hierarchies() -> list[Path]:
    """Where the cgroup file systems are mounted, the unified one first."""
    mounts: dict[str, Path] = {}
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, target, kind, options, *_ = line.split()
        if kind in ("cgroup", "cgroup2") and options.startswith("rw"):
            controllers = "unified" if kind == "cgroup2" else options
            mounts.setdefault(controllers, Path(target))  # the same one may be mounted twice
    return sorted(mounts.values(), key=lambda mount: not (mount / "cgroup.controllers").exists())


def root(hierarchy: Path) -> Path:
    return hierarchy / f"lab-{lab_id()}"


def make(name: str) -> list[Path]:
    """Create the groups of `name` and return their folders; join() or a write to cgroup.procs enters them."""
    folders = []
    for hierarchy in hierarchies():
        folder = root(hierarchy) / name
        for step in (folder.parent, folder):
            step.mkdir(exist_ok=True)
            for setting in ("cpuset.cpus", "cpuset.mems"):  # in v1 a new group has none and takes no process
                if (step / setting).exists() and not (step / setting).read_text().strip():
                    (step / setting).write_text((step.parent / setting).read_text())
        folders.append(folder)
    if not folders:
        raise LabError("no cgroup file system is mounted (mount -t cgroup2 none /sys/fs/cgroup)")
    return folders


def join(name: str, pid: int = 0) -> None:
    """Move a process (0: the calling one) into the groups of `name`."""
    for folder in make(name):
        (folder / "cgroup.procs").write_text(str(pid or os.getpid()))


def names() -> list[str]:
    """The names that have a group now."""
    found = {child.name for base in map(root, hierarchies()) if base.exists() for child in _children(base)}
    return sorted(found)


def pids(name: str = "") -> set[int]:
    """The processes in the groups of `name` (of the whole lab, without one) and in all groups below."""
    found = set()
    for hierarchy in hierarchies():
        for folder in _tree(root(hierarchy) / name):
            with contextlib.suppress(OSError):
                found |= {int(pid) for pid in (folder / "cgroup.procs").read_text().split()}
    return found - {0}


def kill(name: str = "", seconds: float = 10) -> None:
    """End all processes in the groups of `name` (of the whole lab) at once, and wait until they are gone."""
    deadline = time.monotonic() + seconds
    while alive := pids(name) - {os.getpid()}:
        for pid in alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise LabError(f"processes {sorted(alive)} of cgroup {name or root(Path())} do not end")
        time.sleep(0.02)


def remove(name: str = "") -> None:
    """Remove the groups of `name`, or all of the lab's; what still runs in them keeps them."""
    for hierarchy in hierarchies():
        for folder in reversed(_tree(root(hierarchy) / name)):
            for _ in range(50):  # a group stays busy for a moment after its last process has gone
                try:
                    folder.rmdir()
                except FileNotFoundError:
                    break
                except OSError:
                    time.sleep(0.02)
                else:
                    break


def _children(folder: Path) -> list[Path]:
    return [child for child in folder.iterdir() if child.is_dir()]


def _tree(folder: Path) -> list[Path]:
    """The folder and all below it, parents first."""
    if not folder.exists():
        return []
    found = [folder]
    with contextlib.suppress(OSError):
        for child in _children(folder):
            found += _tree(child)
    return found
