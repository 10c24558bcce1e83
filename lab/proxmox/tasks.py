"""Tasks: each runs in a process of its own that outlives the API, as Proxmox' workers do.

A UPID names the process by pid and start time; a task runs as long as that process lives, and its
log's last line says how it ended. A worker that was killed has "unexpected status".
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

from lab import ROOT, cgroup
from lab.proxmox import state
from lab.proxmox.errors import ApiError, invalid

CGROUP = "proxmox-tasks.daemon"


class Upid(NamedTuple):
    node: str
    pid: int
    pstart: int
    starttime: int
    type: str
    id: str
    user: str

    def __str__(self) -> str:
        numbers = f"{self.pid:08X}:{self.pstart:08X}:{self.starttime:08X}"
        return f"UPID:{self.node}:{numbers}:{self.type}:{self.id}:{self.user}:"


def parse(text: str) -> Upid:
    parts = text.split(":")
    try:
        tag, node, pid, pstart, start, kind, vmid, user, end = parts
        if tag != "UPID" or end or "/" in text:
            raise ValueError
        return Upid(node, int(pid, 16), int(pstart, 16), int(start, 16), kind, vmid, user)
    except ValueError:
        raise invalid(upid=f"unable to parse worker upid '{text}'") from None


def log_path(upid: str) -> Path:
    return state.root() / "tasks" / upid


def start(node: str, kind: str, vmid: int | str, user: str, job: str, /, **arguments) -> str:
    """Run `worker.JOBS[job](**arguments)` in a worker; the task's UPID."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # it is stopped once it listens
    worker = subprocess.Popen(
        [sys.executable, "-m", "lab.proxmox.worker"], cwd=ROOT, stdin=subprocess.PIPE, start_new_session=True
    )
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    cgroup.join(CGROUP, worker.pid)
    upid = Upid(
        node, worker.pid, state.process_start(worker.pid) or 0, int(time.time()), kind, str(vmid), user
    )
    log = log_path(str(upid))
    log.parent.mkdir(parents=True, exist_ok=True)
    log.touch(0o600)
    order = {"upid": str(upid), "log": str(log), "job": job, "arguments": arguments}
    worker.stdin.write(json.dumps(order).encode())
    worker.stdin.close()
    threading.Thread(target=worker.wait, daemon=True).start()  # so that it does not stay a zombie
    return str(upid)


def exit_status(upid: Upid) -> str | None:
    """None while it runs, else "OK", "WARNINGS: n", or what went wrong."""
    if upid.pstart and state.process_start(upid.pid) == upid.pstart:
        return None
    lines = lines_of(str(upid))
    last = lines[-1] if lines else ""
    for prefix, shown in (("TASK OK", "OK"), ("TASK WARNINGS: ", "WARNINGS: "), ("TASK ERROR: ", "")):
        if last.startswith(prefix):
            return shown + last.removeprefix(prefix)
    return "unexpected status"


def lines_of(upid: str) -> list[str]:
    try:
        return log_path(upid).read_text().splitlines()
    except FileNotFoundError:
        raise ApiError(f"no such task '{upid}'") from None


def status(upid_text: str) -> dict:
    upid = parse(upid_text)
    lines_of(upid_text)
    result = upid._asdict() | {"upid": upid_text, "tokenid": upid.user.partition("!")[2] or None}
    result["user"] = upid.user.partition("!")[0]
    ended = exit_status(upid)
    result["status"] = "running" if ended is None else "stopped"
    return {k: v for k, v in (result | {"exitstatus": ended}).items() if v is not None}


def listed(node: str) -> list[dict]:
    """The node's tasks, the newest first."""
    found = [status(path.name) for path in (state.root() / "tasks").glob(f"UPID:{node}:*")]
    for task in found:
        if task["status"] == "running":
            task["status"] = "RUNNING"
        if "exitstatus" in task:
            task["status"], task["endtime"] = (
                task.pop("exitstatus"),
                int(log_path(task["upid"]).stat().st_mtime),
            )
    return sorted(found, key=lambda task: -task["starttime"])


def waited(upid_text: str, seconds: int) -> str | None:
    """None once the task is well ended, its UPID if it still runs after `seconds`; ApiError if it failed."""
    deadline, ended = time.monotonic() + seconds, None
    while (ended := exit_status(parse(upid_text))) is None and time.monotonic() < deadline:
        time.sleep(0.02)
    if ended is None:
        return upid_text
    if ended != "OK" and not ended.startswith("WARNINGS: "):
        raise ApiError(ended)
    return None


def stop(upid_text: str) -> None:
    """End a worker and all that it started, as PVE does: they are asked, and killed after five seconds."""
    upid = parse(upid_text)
    for number in (signal.SIGTERM, signal.SIGKILL):
        if exit_status(upid) is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(upid.pid, number)
        deadline = time.monotonic() + 5
        while exit_status(upid) is None and time.monotonic() < deadline:
            time.sleep(0.02)


def interrupted(words: str) -> None:
    """In a worker: what being stopped does to the work that follows."""

    def stop_work(*_) -> None:
        raise ApiError(words)

    signal.signal(signal.SIGTERM, stop_work)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
