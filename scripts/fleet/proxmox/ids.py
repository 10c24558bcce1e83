"""Choose VMIDs: the one in the file, else the one that the machine has, else the lowest free one.

A VMID says nothing of what is in the machine; that templates have a range of their own is for people who look.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TypeVar

from fleet.findings import Fault, Finding
from fleet.paths import shown
from fleet.proxmox.client import Guest
from fleet.vms.files import load_dir
from fleet.vms.machine import Machine

BY_HAND, AUTOMATIC, TEMPLATES = range(100, 500), range(500, 9000), range(9000, 10000)
TRIES = 5  # VMIDs that are tried, each taken by somebody else between the question and the creation

Made = TypeVar("Made")


def choose(
    machines: Mapping[str, Machine],
    known: Mapping[str, int],
    taken: Mapping[int, str],
    is_free: Callable[[int], bool] = lambda vmid: True,
) -> tuple[dict[str, int], list[Finding]]:
    """A VMID for each machine: ({name: vmid}, what is wrong).

    `known`: the VMIDs of machines that exist, by name. `taken`: each VMID in use with its owner's name for messages;
    a machine's own entry in `known` is not a conflict. `is_free` asks the cluster about a candidate.
    """
    findings: list[Finding] = []
    owners = dict(taken)
    ids: dict[str, int] = {}
    for name, machine in machines.items():
        vmid = machine.vmid
        if vmid is None:
            continue
        if vmid in owners and known.get(name) != vmid:
            message = (
                f"{vmid} belongs to {owners[vmid]}; choose another, or remove the line to have one chosen"
            )
            findings.append(machine.finding("vmid", message))
            continue
        ids[name] = vmid
        owners[vmid] = f"{name} ({machine.path})"
    given = set(ids.values())
    for name, machine in machines.items():
        if name in known and machine.vmid is None and known[name] not in given:
            ids[name] = known[name]
            owners.setdefault(known[name], name)
    free = _free(AUTOMATIC, owners, is_free)
    for name, machine in machines.items():
        if name in ids or machine.vmid is not None:
            continue
        number = next(free, None)
        if number is None:
            message = f"no VMID from {AUTOMATIC[0]} to {AUTOMATIC[-1]} is free; choose one"
            findings.append(machine.finding("vmid", message))
            break
        ids[name] = number
        owners[number] = name
    return ids, findings


def used(cluster: Iterable[Guest], vms_dir: Path) -> dict[int, str]:
    """Each VMID that is in use or meant for a machine of the fleet, with its owner for messages."""
    files, _ = load_dir(vms_dir)
    wanted = {file.vmid: shown(file.path) for file in files.values() if file.vmid}
    return wanted | {guest.vmid: f"{guest.name or 'a machine'} on {guest.node}" for guest in cluster}


def claim(
    among: range,
    used: Mapping[int, str],
    is_free: Callable[[int], bool],
    create: Callable[[int], Made],
    say: Callable[[str], None],
) -> tuple[int, Made]:
    """Create something under the lowest free VMID; (VMID, what `create` returned).

    No VMID can be reserved. So the creation decides, and when somebody else was faster, the next one is tried.
    A clone's is taken in its task only, so that `create` has to wait for the task.
    """
    for number in islice(_free(among, used, is_free), TRIES):
        try:
            return number, create(number)
        except Fault as fault:
            if not is_taken(fault, number):
                raise
            say(f"VMID {number} was taken a moment ago; trying the next")
    raise Fault(f"no VMID from {among[0]} to {among[-1]} could be had; remove what is no longer needed there")


def is_taken(fault: Fault, vmid: int) -> bool:
    """Whether a creation failed because somebody else has the VMID, or is about to have it."""
    words = rf"(VM|CT) {vmid} already exists|config file already exists|{vmid}\.conf' failed: File exists"
    return bool(re.search(rf"{words}|lock-{vmid}\.conf' - got timeout", str(fault)))


def _free(among: range, used: Mapping[int, str], is_free: Callable[[int], bool]) -> Iterator[int]:
    """The free VMIDs; `used` may grow meanwhile."""
    return (number for number in among if number not in used and is_free(number))
