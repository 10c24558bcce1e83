"""The stages that make a new machine what was asked for: sizes of disks, cloud-init, options.

Each compares and sets the difference. The last one marks the machine as finished, so that the next run goes on with
what a killed one left. The stages of `run` are the role's task files resize and configure_cloud_init, and `finish`.

More than 150 lines because all three set the difference in the same way, and begin anew where another run was faster.
"""

import functools
import time
from collections.abc import Mapping
from typing import Any

from fleet import paths
from fleet.findings import Fault
from fleet.lifecycle import cloud_init, image, machine, options, owner
from fleet.lifecycle.machine import Found
from fleet.lifecycle.spec import PREFIX, Spec, read
from fleet.proxmox import compare, disks, ensure, properties
from fleet.proxmox.change import Change, Result, told
from fleet.vms import public_keys

TRIES = 3  # of a stage, while somebody else changes the same machine


class Conflict(Fault):
    """Somebody else changed the machine after it was read; nothing was set."""


@told
def run(change: Change, arguments: Mapping[str, Any]) -> Result:
    spec = read(arguments)
    stage = {"resize": resize, "cloud_init": configure, "finish": finish}[arguments["stage"]]
    if planned := machine.planned(spec, arguments):
        return stage(change, spec, planned, arguments)
    for left in reversed(range(TRIES)):
        found = machine.existing(change.api, spec)
        machine.refuse_template(found, "change")
        owner.refuse_stranger("change", found.guest, found.config)
        machine.refuse_locked(found)
        try:
            return stage(change, spec, found, arguments)
        except Conflict:  # another run finishes the same machine, and what it has set is looked at again
            if not left:
                raise
            time.sleep(1)
    raise AssertionError("a stage either ends or raises")


def resize(change: Change, spec: Spec, found: Found, arguments: Mapping[str, Any]) -> Result:
    """Grow the disks that are too small, and make those that are missing."""
    sizes = new_sizes(spec, found.config, float(arguments.get("image_mib") or 0))
    added = new_disks(change, spec, found)
    before = {slot: properties.size_text(int(options.size_mib(found.config, slot))) for slot in sizes}
    after = {slot: properties.size_text(size) for slot, size in sizes.items()} | added
    if arguments.get("planned") and spec.image.url and spec.image.growth and not arguments.get("image_mib"):
        after.setdefault("scsi0", f"+{spec.image.growth}G")  # of an image that is not there yet
    if not after:
        return Result(message=f"the disks of {found.label} are large enough", facts=found.facts)
    if not change.check:
        grow(change, found, sizes)
        put(change, found, {slot: ("", text) for slot, text in added.items()}, disks=True)
    message = f"disks of {found.label}: {', '.join(f'{slot} {size}' for slot, size in after.items())}"
    return Result(True, message, before, after, found.facts)


def new_sizes(spec: Spec, config: Mapping[str, Any], image_mib: float = 0) -> dict[str, int]:
    """The disks that are to grow, and to how many MiB. Raises Fault for one that would shrink.

    `image_mib`: the size of the image's disk, to which the growth of a first creation is added; so it is not added
    again when the creation goes on after it was cut off.
    """
    found: dict[str, int] = {}
    for slot, (gib, exact) in options.asked_of_disks(spec, config).items():
        if slot in config:
            try:
                grows = disks.grows(options.size_mib(config, slot) / 1024, gib, exact)
            except Fault as fault:
                raise Fault(f"{slot}: {fault}") from None
            found |= {slot: gib * 1024} if grows else {}
    system = options.system_disk(config)
    least = int(image_mib) + spec.image.growth * 1024 if image_mib else 0
    exact = any(disk.slot == system for disk in spec.disks)
    if not exact and least > max(options.size_mib(config, system), found.get(system, 0)):
        found[system] = least
    return found


def new_disks(change: Change, spec: Spec, found: Found) -> dict[str, str]:
    """The text of each disk that is asked for and not there.

    Proxmox killed while it made the disks of a new machine leaves volumes that nothing names. They become its disks: a
    machine is made only where its VMID has no volumes on these storages, so that they are its own, and empty.
    """
    missing = [disk for disk in spec.disks if disk.slot not in found.config]
    if not missing:
        return {}
    there = image.storages(change.api, found.guest.node)
    system = properties.parse(str(found.config.get(options.system_disk(found.config)) or ""))
    usual = system.get("file", "").partition(":")[0]
    spare: dict[str, int] = {}
    if found.guest.vmid and not found.owner.finished:
        storages = {disk.storage or usual for disk in missing} & there.keys()
        spare = image.volumes(change.api, found.guest.node, storages, found.guest.vmid)
        spare = {volume: size for volume, size in spare.items() if not _names(found.config, volume)}
    added = {}
    for disk in missing:
        storage = disk.storage or usual
        text = image.new_disk(there, storage, disk.slot, disk.size, found.config)
        fits = (volume for volume, size in spare.items() if size == disk.size << 30)
        if volume := next((one for one in fits if one.startswith(f"{storage}:")), ""):
            del spare[volume]
            change.say(f"{disk.slot} is {volume}, which an interrupted run has left")
            parts = {key: value for key, value in properties.parse(text).items() if key != "format"}
            text = properties.render(parts | {"file": volume})
        added[disk.slot] = text
    return added


def _names(config: Mapping[str, Any], volume: str) -> bool:
    return any(str(value).partition(",")[0] == volume for value in config.values())


def grow(change: Change, found: Found, sizes: Mapping[str, int]) -> None:
    for slot, size in sizes.items():
        begin = functools.partial(
            change.api.put, f"{found.path}/resize", disk=slot, size=properties.size_text(size)
        )
        machine.done(change, begin)
        now = options.size_mib(change.api.config(found.guest.node, found.guest.vmid), slot)
        if now < size:
            raise Fault(f"{slot} of {found.label} has {properties.size_text(int(now))} after it was to grow to"
                        f" {properties.size_text(size)}; see the task's log in Proxmox")  # fmt: skip


def configure(change: Change, spec: Spec, found: Found, arguments: Mapping[str, Any]) -> Result:
    """Cloud-init's drive and settings."""
    if spec.cloud_init is None:
        return Result(message="cloud-init is not asked for", facts=found.facts)
    wanted = cloud_init.options(spec.cloud_init)
    if not spec.cloud_init.keys and not found.config.get("sshkeys"):
        keys, findings = public_keys.read(paths.AUTHORIZED_KEYS)
        if keys and not findings:
            wanted["sshkeys"] = compare.encoded(keys)
        else:
            change.say(
                f"{found.label} gets no SSH key, so nobody can log in: give {PREFIX}cloud_init_ssh_keys,"
                " name a file in VM_SSH_KEYS_FILE, or put one into proxmox/authorized_keys"
            )
    if not cloud_init.drive_of(found.config):
        there = image.storages(change.api, found.guest.node)
        system = str(found.config.get(options.system_disk(found.config)) or "")
        storage = system.partition(":")[0] or image.storage_of_disks(there, found.guest.node, spec)
        wanted[cloud_init.DRIVES[0]] = f"{storage}:cloudinit"
    changes = compare.differences(found.config, wanted)
    put(change, found, changes, disks=cloud_init.DRIVES[0] in changes)
    return _result(found, changes, "cloud-init")


def finish(change: Change, spec: Spec, found: Found, arguments: Mapping[str, Any]) -> Result:
    """The options, and last of all the mark of a finished machine, in one call."""
    mark = owner.line(str(found.config["name"]), found.owner.origin)
    wanted = options.of_new(spec, found.config) | {"description": owner.described(spec.description, mark)}
    changes = compare.differences(found.config, wanted)
    put(change, found, changes)
    return _result(found, changes, "options")


def put(change: Change, found: Found, changes: Mapping[str, tuple[str, str]], disks: bool = False) -> None:
    """Set options, unless somebody changed the machine since it was read. New volumes are made in a task."""
    if change.check or not changes:
        return
    call = change.api.post if disks else change.api.put
    current = change.api.config(found.guest.node, found.guest.vmid) if disks else found.config
    if disks and any(slot in current for slot in changes if slot not in found.config):
        raise Conflict(f"{found.label} got disks from somebody else at the same moment; run this again")
    values = {name: value for name, (_, value) in changes.items()}
    try:
        machine.done(change, lambda: call(f"{found.path}/config", digest=current["digest"], **values))
    except Fault as fault:
        if not ensure.is_conflict(fault):
            raise
        raise Conflict(
            f"{found.label} was changed by somebody else at the same moment; run this again"
        ) from None


def _result(found: Found, changes: Mapping[str, tuple[str, str]], what: str) -> Result:
    if not changes:
        return Result(message=f"{what} of {found.label}: nothing to change", facts=found.facts)
    message = f"{what} of {found.label}: {', '.join(changes)}"
    return Result(True, message, *compare.both(changes), found.facts)
