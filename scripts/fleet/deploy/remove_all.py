"""The slow clean-up: the first and the last step of playbooks/remove-vms.yml, between which the role removes."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fleet.deploy import lock, removal, wanted
from fleet.deploy.wanted import Wanted
from fleet.findings import Fault
from fleet.proxmox.change import Change, Result, told


@told
def run(change: Change, arguments: Mapping[str, Any]) -> Result:
    """`stage` before: what goes, as facts; after: raises Fault with what is left. `confirm` is CONFIRM_DELETE."""
    machines = wanted.read(arguments["machines"])
    if arguments["stage"] == "after":
        return _after(change, machines, arguments.get("failures") or {})
    found = removal.look(change.api, machines)
    goes = [one for one in found.verdicts if one.goes]
    if goes and str(arguments.get("confirm")) != "True" and not change.check:
        raise Fault(f"nothing was removed:\n{found.text}\n{removal.refusal(goes, 'make remove')}")
    if not change.check:
        lock.take(
            Path(arguments["config"]), os.getppid(), "make remove"
        )  # a step runs in a child of the play
    names = [{"name": one.name, "vmid": one.guest.vmid} for one in goes if one.guest]
    return Result(message=found.text, facts={"machines": names})


def _after(change: Change, machines: Sequence[Wanted], failures: Mapping[str, str]) -> Result:
    if change.check:
        return Result(message="nothing was removed")
    found = removal.look(change.api, machines)
    left = [one._replace(reason=failures.get(one.name) or one.reason) for one in found.verdicts if one.guest]
    if left:
        raise Fault("left:\n" + "\n".join(f"- {removal.sentence(one)}" for one in left))
    return Result(message="all machines of this configuration are gone")
