"""What a template has that its clones keep whatever their files say, or with which no token can make a clone."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from fleet.findings import Fault, Finding
from fleet.proxmox import disks, properties
from fleet.proxmox.client import Guest
from fleet.vms.machine import Machine


def conflicts(machine: Machine, template: Guest, config: Mapping[str, Any]) -> Iterator[Finding]:
    """What stands between a file and the template that it names; `config`: the template's."""
    name = template.name
    mend = f"change the template (VMID {template.vmid} on {template.node})"
    yield from _firmware(machine, name, config, mend)
    for option in ("hookscript", *(slot for slot in config if slot.startswith(("hostpci", "usb")))):
        device = properties.parse(str(config.get(option, "")), "host")
        if option in config and (option == "hookscript" or device.get("host", "spice") != "spice"):
            message = f"template {name} has {option}, which root alone may give to a machine; {mend}"
            yield machine.finding("clone", message)


def _firmware(machine: Machine, name: str, config: Mapping[str, Any], mend: str) -> Iterator[Finding]:
    efi, tpm = machine.hardware.efidisk, machine.hardware.tpmstate
    has = properties.parse(str(config.get("efidisk0", "")))
    if efi and has:
        other = {
            "efitype": has.get("efitype", "2m"),
            "pre_enrolled_keys": has.get("pre-enrolled-keys") == "1",
        }
        for key, value in other.items():
            if getattr(efi, key) != value:
                shown = str(value).lower() if isinstance(value, bool) else value
                message = f"template {name} has {shown}, which its clones keep; write that, or {mend}"
                yield machine.finding(f"efidisk.{key}", message)
    version = properties.parse(str(config.get("tpmstate0", ""))).get("version", "v1.2")
    if tpm and "tpmstate0" in config and tpm.version != version:
        message = f"template {name} has {version}, which its clones keep; write that, or {mend}"
        yield machine.finding("tpmstate.version", message)


def linked(
    machine: Machine, config: Mapping[str, Any], storages: Mapping[str, dict[str, Any]]
) -> Iterator[Finding]:
    """What a linked clone cannot have: disks elsewhere than the template's, or on a storage without such clones.

    `storages`: those of the template's node, by name.
    """
    for disk in machine.disks:
        storage = str(config.get(disk.slot, disk.storage)).partition(":")[0]
        if storage != disk.storage:
            message = (
                f"is {disk.storage}, but a linked clone has its disk where the template has it, on {storage}"
            )
            yield machine.finding(f"disks.{disk.slot}.storage", message)
        elif disk.slot in config and (kind := _kind(storages, storage)) and not kind.templates:
            message = f"is false, but Proxmox has no linked clones on {storage}, of type {storages[storage]['type']}"
            yield machine.finding("full_clone", message)


def _kind(storages: Mapping[str, Mapping[str, Any]], name: str) -> disks.Kind | None:
    """What a storage can do; None where the token may not see it, or nobody has tried its type."""
    with contextlib.suppress(Fault):
        return disks.kind(storages[name]["type"]) if "type" in storages.get(name, {}) else None
    return None
