"""Proxmox's property strings and sizes: `local-lvm:vm-1-disk-0,size=32G,ssd=1` to a dict and back."""

import re
from collections.abc import Mapping

_MIB = {"": 1 / (1 << 20), "K": 1 / 1024, "M": 1, "G": 1024, "T": 1 << 20}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)([KMGT]?)", re.ASCII)


def parse(text: str, first: str = "file") -> dict[str, str]:
    """The properties by name. `first` names the value that stands without a key: a disk's is its volume."""
    found = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        key, separator, value = part.partition("=")
        found[key if separator else first] = value if separator else part
    return found


def render(properties: Mapping[str, object], first: str = "file") -> str:
    """The inverse of `parse`, in Proxmox's order: `first` without its key, then the others by name."""
    head = [str(properties[first])] if first in properties else []
    return ",".join(head + [f"{key}={properties[key]}" for key in sorted(properties) if key != first])


def size_mib(text: str) -> float:
    """A size as Proxmox writes it (`3584M`, `32G`; no unit: bytes) in MiB. Raises ValueError."""
    match = _SIZE.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is not a size; expected a number and K, M, G or T, as 32G")
    return float(match[1]) * _MIB[match[2]]


def disk_mib(drive: str) -> float:
    """The size in a drive's property string in MiB; 0 when there is none, as for a CD drive."""
    return size_mib(parse(drive).get("size", "0"))


def size_text(mib: int) -> str:
    """MiB as Proxmox writes them: in the largest unit without a fraction."""
    for unit in "MG":
        if mib % 1024 or not mib:
            return f"{mib}{unit}"
        mib //= 1024
    return f"{mib}T"


def mac(card: str) -> str:
    """The MAC address of a network card's property string, which names its model first; "" without one."""
    found = parse(card, "model")
    return found.get("macaddr") or next((value for value in found.values() if value.count(":") == 5), "")
