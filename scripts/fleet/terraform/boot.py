"""The devices that a machine starts from, where its file does not say so."""

from collections.abc import Collection, Mapping
from typing import Any

from fleet.terraform import state
from fleet.vms.hardware import NONE
from fleet.vms.machine import Disk, Machine
from fleet.vms.values import boot_devices, system_disk


def order(
    one: Machine,
    adopted: bool,
    disks: Collection[Disk],
    has: state.Resource | None,
    config: Mapping[str, Any],
) -> tuple[str, ...]:
    """The disk with the system; an adopted machine keeps its order, which is none if it starts as Proxmox chooses.

    What has no template starts from its CD drive, or else from the network, as long as its disk is empty. `has`: the
    state's record, `config`: what Proxmox has of a guest that is taken over.
    """
    if adopted:
        return tuple(has.attributes.get("boot_order") or () if has else boot_devices(config.get("boot")))
    slots = [disk.slot for disk in disks]
    system = tuple(filter(None, [system_disk(slots) or next(iter(slots), None)]))
    drive = one.hardware.cdrom
    return (*system, drive.slot if drive else "net0") if one.clone == NONE else system
