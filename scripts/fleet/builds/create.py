"""Stage 3: the machine that becomes the template, with disks and firmware, in one call.

Of a creation that fails Proxmox frees the disks. With a second call for them, a machine without disks could be left.
"""

import contextlib
from collections.abc import Mapping
from typing import Any

from fleet.builds import plan
from fleet.builds.plan import Plan
from fleet.findings import Fault
from fleet.images import progress
from fleet.paths import VMS_DIR
from fleet.proxmox import disks, ids, tasks
from fleet.proxmox.change import Change, Result
from fleet.proxmox.guest import BUILDING
from fleet.templates import found, remove


def run(change: Change, arguments: Mapping[str, Any]) -> Result:
    """Hands on `building`, the machine's VMID. One that an earlier run left is used again, or removed."""
    planned = plan.taken(arguments)
    spec = planned.spec
    if not change.check:
        _settle(change, planned)
    before = _left(change, planned)
    if change.check:
        useful = [
            one for one in before if one.notes.fingerprint == planned.fingerprint and _goes_on(one, planned)
        ]
        done = f"{useful[-1]} would go on" if useful else f"{spec.name}-building would be created"
        return Result(not useful, done, after={} if useful else {"machine": f"{spec.name}-building"})
    removed = False
    for one in before:
        tasks.when_unlocked(change.api, one.guest, one.guest.name, spec.timeout, say=change.say)
        one = one._replace(config=change.api.config(one.guest.node, one.guest.vmid))
        if one.notes.fingerprint == planned.fingerprint and _goes_on(one, planned):
            message = f"{one} goes on after the stage {one.notes.stage or 'created'}"
            return Result(removed, message, facts={"building": one.guest.vmid})
        change.say(f"removing {one}, which an interrupted run left")
        remove.destroy(change.api, one.path)
        removed = True
    vmid, upid = _create(change, planned, ids.used(change.api.guests(), VMS_DIR))
    follow = progress.follow(f"import of {spec.image.file} to {spec.storage}", change.say)
    tasks.wait(change.api, upid, spec.timeout, progress=follow)
    mark(change, planned, vmid, "created")
    return Result(
        True, f"VMID {vmid} was created on {planned.node}",
        after={"machine": f"{spec.name}-building", "disk": planned.volume},
        facts={"building": vmid, "upid": upid},
    )  # fmt: skip


def _left(change: Change, planned: Plan) -> list[found.Found]:
    """Half-built machines on which nobody works any more."""
    spec = planned.spec
    made = found.of_image(change.api, change.api.guests(), spec.image.name, spec.name, planned.node)
    return [one for one in made if BUILDING in one.guest.tags and not one.notes.is_alive()]


def _settle(change: Change, planned: Plan) -> None:
    """Wait for what a killed run began, which goes on in Proxmox; how it ends is seen afterwards.

    A machine that is still being created has neither name nor notes. So its task is known by its VMID alone.
    """
    for task in change.api.if_told(f"nodes/{planned.node}/tasks", source="active") or ():
        text = str(task.get("id"))
        if task.get("endtime") or not text.isdigit() or int(text) not in ids.TEMPLATES:
            continue
        change.say(f"waiting for {tasks.parse(task['upid'])}, which another run began")
        with contextlib.suppress(tasks.Failed):
            tasks.wait(change.api, task["upid"], planned.spec.timeout)


def _goes_on(one: found.Found, planned: Plan) -> bool:
    """Whether a machine can be used as it is: its disk is there, and nothing was cut off that cannot be repeated."""
    if one.notes.stage == "sealing" or (one.guest.template and found.problems(one.config, planned.storages)):
        return False
    return "scsi0" in one.config


def mark(change: Change, planned: Plan, vmid: int, stage: str, **options: Any) -> None:
    """Write down that a stage is done, and its options in the same call."""
    path = f"nodes/{planned.node}/qemu/{vmid}/config"
    change.api.put(path, description=planned.notes(vmid).reached(stage).render(), **options)


def _create(change: Change, planned: Plan, used: Mapping[int, str]) -> tuple[int, str]:
    def create(vmid: int) -> str:
        return change.api.post(f"nodes/{planned.node}/qemu", vmid=vmid, **_options(planned, vmid))

    if (wanted := planned.spec.vmid) and wanted not in used:
        return wanted, create(wanted)
    if wanted:  # the template in use has it; preflight.py lets nobody else's pass
        change.say(f"VMID {wanted} is {used[wanted]}; the new template gets another")
    return ids.claim(ids.TEMPLATES, used, change.api.is_free, create, change.say)


def _options(planned: Plan, vmid: int) -> dict[str, Any]:
    spec = planned.spec
    notes = planned.notes(vmid).reached("")
    disk = disks.disk(planned.storage_type, spec.storage, image=planned.volume, iothread=True)
    uefi = (
        disks.uefi(planned.storage_type, spec.storage, bool(spec.secure_boot))
        if spec.firmware == "ovmf"
        else {}
    )
    card = f"virtio,bridge={spec.bridge}" + (f",tag={spec.vlan}" if spec.vlan else "")
    return {
        "name": f"{spec.name}-building", "description": notes.render(), "tags": notes.tags(BUILDING),
        "ostype": "l26", "cores": spec.cores, "memory": spec.memory, "cpu": "host", "scsihw": "virtio-scsi-single",
        "scsi0": disk, "boot": "order=scsi0", "ide2": f"{spec.storage}:cloudinit", "net0": card,
        "serial0": "socket", "vga": "serial0", "agent": f"enabled={int(spec.agent)}", "ciupgrade": 0,
        **uefi,
    }  # fmt: skip


def guest_of(change: Change, planned: Plan, vmid: int | None) -> found.Found:
    """The machine that an earlier stage made. Raises Fault when it is not there, or somebody else's."""
    cluster = [guest for guest in change.api.guests() if guest.vmid == vmid]
    made = [
        one for one in found.all_of(change.api, cluster, planned.node) if one.notes.name == planned.spec.name
    ]
    if not made:
        raise Fault(
            f"there is no machine that {planned.spec.name} could be made of; run with `--tags image,vm` first"
        )
    return made[-1]
