"""Stage 4: size, cloud-init, and a device of the node, by what differs."""

from collections.abc import Mapping
from typing import Any

from fleet.builds import create, plan
from fleet.lifecycle import cloud_init
from fleet.proxmox import disks, properties, tasks
from fleet.proxmox.change import Change, Result

LATER = ("converted", "sealed")  # stages before which all of this was done


def run(change: Change, arguments: Mapping[str, Any]) -> Result:
    planned = plan.taken(arguments)
    spec = planned.spec
    if planned.building is None and change.check:
        return Result(True, "the new machine would be configured")
    one = create.guest_of(change, planned, planned.building)
    if one.notes.stage in LATER:
        return Result(message=f"{one} is configured", facts={"stage": one.notes.stage})
    wanted = cloud_init.options(spec.cloud_init)
    wanted |= {"hostpci0": f"mapping={spec.gpu},pcie=1"} if spec.gpu else {}
    wanted |= {"cicustom": f"vendor={spec.vendor}"} if spec.vendor else {}
    has = {name: str(one.config.get(name, "")) for name in wanted}
    differs = {name: value for name, value in wanted.items() if has[name] != value}
    size = properties.disk_mib(str(one.config["scsi0"])) / 1024
    grows = bool(spec.disk) and disks.grows(size, spec.disk, exact=True)
    after: dict[str, Any] = differs | ({"scsi0": f"{spec.disk}G"} if grows else {})
    before = {name: has[name] for name in differs} | ({"scsi0": f"{size:g}G"} if grows else {})
    if not change.check:
        if differs or one.notes.stage != "configured":
            create.mark(change, planned, one.guest.vmid, "configured", digest=one.config["digest"], **differs)
        if grows:
            answer = change.api.put(f"{one.path}/resize", disk="scsi0", size=f"{spec.disk}G")
            if tasks.is_upid(answer):  # since Proxmox VE 8
                tasks.wait(change.api, answer)
    facts = {"stage": "configured"}
    if not after:
        return Result(message=f"{one} is configured", facts=facts)
    return Result(True, f"{one} was configured", before, after, facts)
