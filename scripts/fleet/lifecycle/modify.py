"""Changing a machine that this role made: by difference, all or nothing, and what waits for a restart is said."""

from collections.abc import Iterator, Mapping
from typing import Any

from fleet.findings import Fault
from fleet.lifecycle import cloud_init, finish, machine, options, owner, template
from fleet.lifecycle.machine import Found
from fleet.lifecycle.spec import PREFIX, Spec, read
from fleet.proxmox import compare, properties
from fleet.proxmox.change import Change, Result, told
from fleet.proxmox.rights import right

_INSTANCE = {"ciuser", "sshkeys", "ipconfig0"}  # cloud-init begins anew where one of these changed
_RIGHTS = {"cores": "CPU", "sockets": "CPU", "cpu": "CPU", "memory": "Memory", "net0": "Network",
           "agent": "Options", "onboot": "Options", "protection": "Options", "tags": "Options",
           "description": "Options"}  # fmt: skip


@told
def run(change: Change, arguments: Mapping[str, Any]) -> Result:
    spec = read(arguments)
    found = machine.existing(change.api, spec)
    machine.refuse_template(found, "modify")
    owner.refuse_stranger("modify", found.guest, found.config)
    owner.refuse_unfinished(found.owner, found.label)
    if problems := list(_another_machine(spec, found)):
        raise Fault(f"{found.label}: {'; '.join(problems)}")
    sizes = finish.new_sizes(spec, found.config)  # refuses to shrink before anything is changed
    added = finish.new_disks(change, spec, found)
    changes = compare.differences(found.config, _wanted(spec, found))
    if not (sizes or added or changes):
        return Result(message=f"{found.label} is as asked for", facts=found.facts | {"waiting": []})
    machine.refuse_locked(found)
    card = {name: then for name, (_, then) in changes.items() if name == "net0"}
    machine.require(change, *_rights(found, changes, bool(sizes or added)), *options.bridges(card))
    finish.put(change, found, changes)
    if not change.check:
        finish.grow(change, found, sizes)
        finish.put(change, found, {slot: ("", text) for slot, text in added.items()}, disks=True)
    before, after = compare.both(changes)
    before |= {slot: properties.size_text(int(options.size_mib(found.config, slot))) for slot in sizes}
    after |= {slot: properties.size_text(size) for slot, size in sizes.items()} | added
    waiting = [] if change.check else _waiting(change, found)
    message = f"{found.label}: {', '.join(after)} changed"
    if waiting:
        message += f"; {', '.join(waiting)} waiting for the next restart"
    if _INSTANCE & changes.keys():
        message += "; cloud-init runs again at the next start and makes new SSH host keys"
    return Result(True, message, before, after, found.facts | {"waiting": waiting})


def _wanted(spec: Spec, found: Found) -> dict[str, str]:
    wanted = options.asked(spec, found.config)
    if cloud_init.drive_of(found.config):
        wanted |= options.asked_of_cloud_init(spec)
    if spec.description or not found.owner.origin:  # a machine that was handed over gets its mark
        text = spec.description or owner.text_of(found.config.get("description"))
        wanted["description"] = owner.described(
            text, owner.line(str(found.config["name"]), found.owner.origin)
        )
    return wanted


def _another_machine(spec: Spec, found: Found) -> Iterator[str]:
    """What only a new machine can have."""
    origin, wanted = found.owner.origin, template.origins(spec)
    if origin and wanted and origin not in wanted:
        yield f"{wanted[0]} is asked for, but it was made from {origin}: make a new machine"
    if spec.node and spec.node != found.guest.node:
        yield f"{PREFIX}node is {spec.node}: migrate it in Proxmox"
    for disk in spec.disks:
        storage = str(found.config.get(disk.slot) or "").partition(":")[0]
        if storage and disk.storage not in ("", storage):
            yield f"{disk.slot} is to be on {disk.storage}, but is on {storage}: move it in Proxmox"
    system = str(found.config.get(options.system_disk(found.config)) or "").partition(":")[0]
    if spec.disk_storage not in ("", system):
        yield f"{PREFIX}disk_storage is {spec.disk_storage}, but its disk is on {system}: move it in Proxmox"


def _rights(found: Found, changes: Mapping[str, Any], disks: bool) -> Iterator[right]:
    names = {_RIGHTS.get(name, "Cloudinit") for name in changes} | ({"Disk"} if disks else set())
    return (right(f"/vms/{found.guest.vmid}", f"VM.Config.{name}") for name in sorted(names))


def _waiting(change: Change, found: Found) -> list[str]:
    """The options that take effect at the next restart."""
    listed = change.api.get(f"{found.path}/pending")
    return sorted(entry["key"] for entry in listed if "pending" in entry or entry.get("delete"))
