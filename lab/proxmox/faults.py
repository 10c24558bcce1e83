"""Faults that a test injects into Proxmox: LAB_DIR/proxmox/faults.json, read at each request and task.

A list of objects. `match` is a regular expression searched in "METHOD /path" of a request (path
below /api2/json, without query) or in "TASK type:id" of a worker, for example "TASK qmclone:9000". In the
course of a task there are "STEP qmtemplate:ID flag", then one for each drive: "STEP qmtemplate:ID scsi0" and
"STEP qmclone:ID scsi0" (ID is the template's), "STEP qmcreate:ID scsi0" and "STEP qmconfig:ID scsi0".
`times` (default: for ever) counts down at each use.

    {"match": "PUT .*/config", "times": 2, "status": 500, "message": "got timeout"}
    {"match": "GET /nodes/node02/", "status": 595, "message": "No route to host"}
    {"match": "GET /cluster/resources", "data": []}         another answer, without running the request
    {"match": "GET /nodes/[^/]+/qemu$", "data": []}         the template is missing
    {"match": "TASK qmclone:", "delay": 20}                 a slow task (or request)
    {"match": "TASK qmstart:", "error": "start failed: QEMU exited with code 1"}
    {"match": "TASK qmclone:", "warnings": 1}               it ends well, with warnings
    {"match": "STEP qmtemplate:9001 flag", "kill": true}    killed when the flag is set and no disk is converted
    {"match": "TASK qmcreate:", "kill": true}               its worker is killed, and undoes nothing
    {"full": "local-lvm"}                                   nothing can be allocated on the storage
    {"full": "local-lvm", "at": 40}                         it fills up when 40 % of an image have been copied
    {"no_boot": 500}                                        the machine starts and never answers
    {"taken": 501}                                          a stranger takes the VMID before the next who wants it
    {"taken": 501, "late": true}                            the same after the answer, before the task takes it
    {"offline": "node02"}                                   a node that does not answer: 595
    {"release": 8}                                          Proxmox VE 8.4 instead of 9: HA groups, VM.Monitor
    {"second_factor": "root@pam"}                           the password alone gives no ticket that opens anything
    {"clock": 300}                                          the node's clock is 300 s ahead
    {"agent_silent": 500}                                   it boots, but its guest agent does not answer

From Python: `with faults.injected({...}, {...}): …`, which needs LAB_DIR in the environment.
"""

import contextlib
import os
import re
import signal
import time

from lab.proxmox import state
from lab.proxmox.errors import ApiError


def _path():
    return state.root() / "faults.json"


def current() -> list[dict]:
    return state.read_json(_path(), [])


def storage_full(storage: str) -> bool:
    return any(fault.get("full") == storage and "at" not in fault for fault in current())


def fills_up_at(storage: str) -> float | None:
    """The percentage of an image that still fits onto the storage."""
    return next((fault["at"] for fault in current() if fault.get("full") == storage and "at" in fault), None)


def never_boots(vmid: int) -> bool:
    return any(fault.get("no_boot") == vmid for fault in current())


def offline(node: str) -> bool:
    return any(fault.get("offline") == node for fault in current())


def taken(vmid: int, late: bool) -> bool:
    """Whether a stranger takes this VMID now, as he does once: before a request, or `late` before a clone's task."""
    with state.locked("faults"):
        left = [
            fault for fault in current() if (fault.get("taken"), fault.get("late", False)) != (vmid, late)
        ]
        found = len(left) < len(current())
        if found:
            state.write_json(_path(), left)
    return found


def release() -> int:
    """The major version of Proxmox VE."""
    return next((fault["release"] for fault in current() if "release" in fault), 9)


def second_factor(user: str) -> bool:
    return any(fault.get("second_factor") == user for fault in current())


def clock() -> float:
    """How many seconds the node's clock is ahead."""
    return next((fault["clock"] for fault in current() if "clock" in fault), 0)


def agent_silent(vmid: int) -> bool:
    return any(fault.get("agent_silent") == vmid for fault in current())


def take(subject: str) -> dict | None:
    """The first fault that matches, counted down; None is the usual answer."""
    if not _path().exists() or not any("match" in fault for fault in current()):
        return None
    with state.locked("faults"):
        faults = current()
        for fault in faults:
            if "match" in fault and re.search(fault["match"], subject):
                if "times" in fault:
                    fault["times"] -= 1
                    state.write_json(_path(), [f for f in faults if f.get("times", 1) > 0])
                return fault
    return None


def meet(subject: str) -> int:
    """Suffer in a worker what a fault has for it; the number of warnings."""
    fault = take(subject) or {}
    time.sleep(fault.get("delay", 0))
    if fault.get("kill"):
        os.killpg(0, signal.SIGKILL)
    if fault.get("error"):
        raise ApiError(fault["error"])
    return fault.get("warnings", 0)


def inject(*faults: dict) -> None:
    """Replace all faults by these; with none, all is well again."""
    with state.locked("faults"):
        state.write_json(_path(), list(faults))


@contextlib.contextmanager
def injected(*faults: dict):
    inject(*faults)
    try:
        yield
    finally:
        inject()
