"""What the values of a VM file mean: sizes, slots, lists that may be written as text."""

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

SYSTEM_DISKS = ("scsi0", "virtio0", "sata0")  # where a template has its disk, the usual slot first
_SIZE = re.compile(r"([1-9][0-9]{0,5})([GT])")
_REFERENCE = re.compile(r"vault:(kv/playbooks/[A-Za-z0-9._-]+(?:/[A-Za-z0-9._-]+)*)#([A-Za-z0-9._-]+)")


class Reference(NamedTuple):
    """A place in Vault that a variable of a machine names: `vault:kv/playbooks/myapp#password`."""

    secret: str  # kv/playbooks/myapp
    key: str


def gib(size: object) -> int | None:
    """`50G` or `2T` in GiB; None for anything else."""
    match = _SIZE.fullmatch(size) if isinstance(size, str) else None
    return int(match[1]) * (1024 if match[2] == "T" else 1) if match else None


def reference(text: str) -> Reference | None:
    """What a text refers to; None for one that is no reference."""
    match = _REFERENCE.fullmatch(text)
    return Reference(*match.groups()) if match and ".." not in text else None


def slot_order(slot: str) -> tuple[str, int]:
    """("scsi", 11) of `scsi11`: the order in which the provider lists a guest's disks."""
    bus, number = re.fullmatch(r"([a-z]*)([0-9]*).*", slot, re.DOTALL).groups()
    return bus, int(number[:3] or 0)


def system_disk(slots: Iterable[str]) -> str | None:
    """The slot of the disk that holds the operating system, where `boot` does not say so."""
    found = set(slots)
    return next((slot for slot in SYSTEM_DISKS if slot in found), None)


def words(value: object) -> list[object]:
    """The entries of a list, or of text with commas, semicolons or spaces between them; [] for other types."""
    if isinstance(value, str):
        return [word for word in re.split(r"[;,\s]+", value) if word]
    return list(value) if isinstance(value, list) else []


def boot_devices(boot: object) -> list[str]:
    """The devices of `order=scsi0;net0`; [] for anything else."""
    if not isinstance(boot, str) or not boot.startswith("order="):
        return []
    return [device for device in boot.removeprefix("order=").split(";") if device]


def discards(value: object) -> bool | None:
    """A disk's `discard`, which Proxmox writes as text; None for nothing."""
    return value in (True, "on") if value is not None else None


def disk_defaults(slot: str, scsihw: str) -> dict[str, Any]:
    """The options of a disk of which nothing is said; proxmox/modules/vm has the same.

    I/O threads and the SSD flag are on where the slot and the controller allow them.
    """
    thread = slot.startswith("virtio") or (slot.startswith("scsi") and scsihw == "virtio-scsi-single")
    return {
        "discard": True,
        "iothread": thread,
        "ssd": not slot.startswith("virtio"),
        "cache": "none",
        "backup": True,
        "replicate": True,
        "aio": "io_uring",
        "serial": "",
    }
