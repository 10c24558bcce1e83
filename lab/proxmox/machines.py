"""Starting, stopping and asking running machines, each of which is a process: machine.py.

A machine listens on an abstract socket of the lab's network namespace, so it runs if something listens
there, and a killed machine leaves nothing that could be mistaken for a running one.
"""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from lab import ROOT, cgroup, lab_dir, lab_id
from lab.proxmox import faults, state
from lab.proxmox.errors import ApiError


def address(vmid: int) -> str:
    return f"\0lab-{lab_id()}-vm{vmid}"


def group(vmid: int) -> str:
    """The machine's cgroup below the lab's."""
    return f"vm{vmid}"


def ask(vmid: int, command: str, timeout: float = 20) -> dict | None:
    """Send one word to a machine; its answer, or None when it does not run."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout)
        try:
            connection.connect(address(vmid))
            connection.sendall(command.encode() + b"\n")
            with connection.makefile() as stream:
                line = stream.readline()
        except OSError:
            return None
    return json.loads(line) if line else None


def running(vmid: int) -> dict | None:
    """A running machine's status: pid, leader (its init's pid, or null), since."""
    return ask(vmid, "status")


def start(vmid: int, timeout: float) -> int:
    """Start the machine's process and wait until its init runs; the number of warnings."""
    log = lab_dir() / "log" / f"vm{vmid}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    cgroup.kill(group(vmid))  # remains of a machine whose process was killed
    hollow = os.environ.get("LAB_PROXMOX_HOLLOW") or faults.never_boots(vmid)
    command = [sys.executable, "-m", "lab.proxmox.machine", str(vmid), *(["--hollow"] if hollow else [])]
    with log.open("ab") as output:
        process = subprocess.Popen(
            # A mount namespace of its own: its mounts end with its last process, whatever kills it.
            ["unshare", "--mount", "--propagation", "private", "--", *command],
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=output, start_new_session=True,
        )  # fmt: skip
    with process.stdout:
        line = process.stdout.readline().decode().strip()
    if line != "ready":
        process.wait()
        raise ApiError(line or f"start failed: the machine's process ended with code {process.returncode}")
    return 0


def kill(vmid: int) -> None:
    """Cut the power."""
    ask(vmid, "kill")
    _wait_gone(vmid, 20)
    cgroup.kill(group(vmid))
    cgroup.remove(group(vmid))


def shutdown(vmid: int, timeout: float) -> bool:
    """Press the power button; False if the machine still runs after `timeout` seconds."""
    ask(vmid, "shutdown")
    if not _wait_gone(vmid, timeout):
        return False
    cgroup.kill(group(vmid))
    cgroup.remove(group(vmid))
    return True


def _wait_gone(vmid: int, timeout: float) -> bool:
    end = time.monotonic() + timeout
    while running(vmid):
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def sync(vmid: int) -> None:
    """Make a running machine see its disks as they are configured now."""
    answer = ask(vmid, "sync")
    if answer and answer.get("error"):
        raise ApiError(answer["error"])


def alive() -> list[str]:
    """The cgroups of the machines that run; unlike `running` this works from any network."""
    return [name for name in cgroup.names() if re.fullmatch(r"vm\d+", name) and cgroup.pids(name)]


def stop_all(seconds: float = 20) -> None:
    """Switch all machines off as a node's shutdown does, from outside the lab's network as well.

    Their configurations do not change; those with onboot, and those that ran, start with the lab.
    """
    names = alive()
    state.write_json(_resume_path(), sorted(int(name[2:]) for name in names))
    supervisors = [state.read_json(state.root() / "run" / name[2:] / "pid.json", 0) for name in names]
    for pid in filter(None, supervisors):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + seconds
    while any(cgroup.pids(name) for name in names) and time.monotonic() < end:
        time.sleep(0.05)
    for name in names:
        cgroup.kill(name)
        cgroup.remove(name)


def _resume_path() -> Path:
    return state.root() / "resume.json"


def to_resume() -> list[int]:
    """The machines that ran when the lab was stopped; the list is removed when read."""
    found = state.read_json(_resume_path(), [])
    _resume_path().unlink(missing_ok=True)
    return found
