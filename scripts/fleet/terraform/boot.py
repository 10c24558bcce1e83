"""The devices that a machine starts from, where its file does not say so."""

from collections.abc import Collection

from fleet.terraform.state import Resource
from fleet.vms.hardware import NONE
from fleet.vms.machine import Disk, Machine
from fleet.vms.values import system_disk


def order(one: Machine, disks: Collection[Disk], has: Resource | None) -> tuple[str, ...]:
    """The disk with the system.

    Without a template or an image then the CD drive, or else the network, while the disk is empty; a machine that was
    made so, which the state `has`, keeps its order.
    """
    slots = [disk.slot for disk in disks]
    system = tuple(filter(None, [system_disk(slots) or next(iter(slots), None)]))
    if one.clone != NONE or one.image:
        return system
    drive = one.hardware.cdrom
    made = tuple(has.attributes.get("boot_order") or ()) if has else ()
    return made or (*system, drive.slot if drive else "net0")
