"""Finds and removes what a stopped or killed lab leaves on the host."""

import contextlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path

from lab import cgroup, lab_dir, network


def end_processes() -> None:
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


def unmount() -> None:
    for target in reversed(mounts()):
        if subprocess.run(["umount", target], capture_output=True).returncode:
            subprocess.run(["umount", "--lazy", target], capture_output=True)


def detach_loops() -> None:
    deadline = time.monotonic() + 10
    while (found := loops()) and time.monotonic() < deadline:  # a device is freed with its last user
        subprocess.run(["losetup", "--detach", *found], capture_output=True)
        time.sleep(0.05)


def found_now() -> list[str]:
    """All that a stopped lab must not leave: processes, mounts, loop devices, network and control groups."""
    found = [f"process {pid}" for pid in sorted({*cgroup.pids(), *network.processes()} - {os.getpid()})]
    found += [f"mount {target}" for target in mounts()] + [f"loop device {name}" for name in loops()]
    found += [f"network namespace {network.path()}"] if network.path().exists() else []
    return found + [f"cgroup {base}" for base in map(cgroup.root, cgroup.hierarchies()) if base.exists()]
