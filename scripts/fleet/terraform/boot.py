"""The devices that a new machine starts from, where its file does not say so."""

from collections.abc import Collection

from fleet.vms.hardware import NONE
from fleet.vms.machine import Disk, Machine
from fleet.vms.values import system_disk


def order(one: Machine, disks: Collection[Disk]) -> tuple[str, ...]:
    """The disk with the system; without a template then the CD drive, or else the network, while the disk is empty."""
    slots = [disk.slot for disk in disks]
    system = tuple(filter(None, [system_disk(slots) or next(iter(slots), None)]))
    drive = one.hardware.cdrom
    return (*system, drive.slot if drive else "net0") if one.clone == NONE else system
