"""What is in the way of the machines of `.env`, all of it before anything is changed, and what will happen.

`run` is the first step of playbooks/deploy.yml. It chooses the VMIDs: the lowest free ones in the machines' order, so
that two runs choose the same, and the creation decides.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fleet.console import table
from fleet.deploy import lock, rehearsal, space, taken, wanted
from fleet.deploy.once import Once
from fleet.deploy.rehearsal import Plan
from fleet.deploy.wanted import Wanted
from fleet.findings import Fault, listed
from fleet.lifecycle import create
from fleet.paths import VMS_DIR
from fleet.proxmox import ids
from fleet.proxmox.change import Change, Result, told
from fleet.proxmox.guest import Guest


@told
def run(change: Change, arguments: Mapping[str, Any]) -> Result:
    """Raises Fault with everything that is in the way."""
    machines = wanted.read(arguments["machines"])
    if not change.check:
        lock.take(
            Path(arguments["config"]), os.getppid(), "make deploy"
        )  # a step runs in a child of the play
    if not machines:
        return Result(message="VM_NAMES names no machine", facts={"machines": []})
    said: list[str] = []
    quiet = Change(Once(change.api), True, lambda line: said.append(line) if line not in said else None)
    cluster = quiet.api.guests()
    others = taken.look(quiet.api, cluster, change.say)
    problems: dict[str, list[str]] = {}  # each with the machines that have it
    plans: list[Plan] = []
    vmids = _vmids(quiet, machines, cluster, others)
    for one in machines:
        found = list(taken.problems(one, others, cluster))
        if not found:
            try:
                plans.append(_plan(quiet, one, cluster, vmids))
            except Fault as fault:
                found = [str(fault)]
        for problem in found:
            problems.setdefault(problem, []).append(one.name)
    room = space.look(quiet.api, plans)
    wrong = [f"{listed(names)}: {problem}" for problem, names in problems.items()] + room.problems
    if wrong:
        raise Fault("nothing was changed:\n" + "\n".join(f"- {one}" for one in wrong))
    for line in [*said, *room.notes, *_stubs(others, cluster)]:
        change.say(line)
    rows = [plan.row for plan in plans]
    facts = {"machines": [plan.variables for plan in plans]}
    return Result(message=table(rehearsal.HEADS, rows), facts=facts)


def _plan(quiet: Change, one: Wanted, cluster: Sequence[Guest], vmids: Iterator[int]) -> Plan:
    if found := create.ours(quiet, one.spec, cluster):
        return rehearsal.of_there(quiet, one, found)
    while True:
        vmid = one.spec.vmid or next(vmids)
        try:
            return rehearsal.of_new(quiet, one, vmid, cluster)
        except create.Occupied as occupied:
            if one.spec.vmid:
                raise
            quiet.say(f"{occupied}; the next one is taken")


def _vmids(
    quiet: Change, machines: Sequence[Wanted], cluster: Sequence[Guest], others: taken.Others
) -> Iterator[int]:
    """The VMIDs for machines that name none."""
    used = {*ids.used(cluster, VMS_DIR), *others.vmids, *(one.spec.vmid for one in machines)}
    for vmid in ids.AUTOMATIC:
        if vmid not in used and quiet.api.is_free(vmid):
            yield vmid
    raise Fault(f"no VMID from {ids.AUTOMATIC[0]} to {ids.AUTOMATIC[-1]} is free; name some in VM_IDS")


def _stubs(others: taken.Others, cluster: Sequence[Guest]) -> Iterator[str]:
    """Guests that a creation left which was cut off so early that they have no name; nothing tells whose they are."""
    for found in others.marked:
        if not found.config.get("name") and found.config.get("lock") in ("create", "clone"):
            vmid, node = found.guest.vmid, found.guest.node
            yield (
                f"VMID {vmid} on {node} has no name and is locked ({found.config['lock']}): if no task works on it, its"
                f" creation was cut off; `qm unlock {vmid}` and `qm destroy {vmid} --destroy-unreferenced-disks 1` on"
                f" {node} remove it"
            )
