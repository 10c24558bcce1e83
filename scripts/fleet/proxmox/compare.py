"""What differs between a configuration in Proxmox and the options that are wanted.

Values are compared by what they mean: Proxmox writes property strings in an order of its own, leaves its defaults out,
and adds what it found out, such as a disk's size and a card's MAC address.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

from fleet.proxmox import properties
from fleet.proxmox.errors import MASK, SECRET

# What Proxmox takes where an option is not set.
_UNSET = {"onboot": "0", "protection": "0", "agent": "0", "cores": "1", "sockets": "1", "memory": "512",
          "ciupgrade": "1", "bios": "seabios", "tablet": "1", "numa": "0", "balloon": "0"}  # fmt: skip
DRIVE = re.compile(r"(?:scsi|virtio|sata|ide|efidisk|tpmstate|unused)\d+")
_LISTS = {"tags", "hotplug", "content", "nodes"}


class _Kind(NamedTuple):
    """An option that is a property string: the property without a key, and the values of those that are left out."""

    names: str
    first: str
    absent: Mapping[str, str] = {}


_KINDS = (
    _Kind(r"net\d+", "model", {"firewall": "0", "link_down": "0"}),
    _Kind(DRIVE.pattern, "file", {"backup": "1", "cache": "none", "discard": "ignore", "iothread": "0", "media":
          "disk", "replicate": "1", "ro": "0", "ssd": "0"}),
    _Kind(r"ipconfig\d+", "ip"),
    _Kind("agent", "enabled", {"fstrim_cloned_disks": "0", "freeze-fs-on-backup": "1", "type": "virtio"}),
    _Kind("cpu", "cputype"),
    _Kind("memory", "current"),
    _Kind("vga|machine", "type"),
    _Kind("startup", "order"),
    _Kind(r"hostpci\d+|usb\d+", "host"),
    _Kind("rng0", "source"),
    _Kind(r"virtiofs\d+", "dirid"),
    _Kind("watchdog", "model", {"action": "reset"}),
    _Kind("boot|cicustom|smbios1|next-id|migration|crs|ha|bwlimit|prune-backups", ""),
)  # fmt: skip


def differences(config: Mapping[str, Any], wanted: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """What is to be set: option to (value now, value wanted)."""
    found = {}
    for name, value in wanted.items():
        now = text(config[name]) if name in config else ""
        if meaning(name, now) != meaning(name, value):
            found[name] = (now, value)
    return found


def meaning(name: str, value: str) -> object:
    value = value or _UNSET.get(name, "")
    if name in _LISTS:
        return set(filter(None, re.split(r"[;, ]+", value)))
    if name == "sshkeys":
        return decoded(value)
    if name == "description":
        return value.strip()
    if kind := _kind(name):
        found = properties.parse(value, kind.first)
        return {key: one for key, one in found.items() if kind.absent.get(key) != one}
    return value


def encoded(keys: Iterable[str]) -> str:
    """SSH keys as the API takes them and gives them back."""
    return quote("\n".join(keys), safe="")


def decoded(keys: str) -> list[str]:
    return [line.strip() for line in unquote(keys).splitlines() if line.strip()]


def both(changes: Mapping[str, tuple[str, str]]) -> tuple[dict[str, str], dict[str, str]]:
    """The values before and after, for people."""
    before = {name: shown(name, now) for name, (now, _) in changes.items()}
    return before, {name: shown(name, then) for name, (_, then) in changes.items()}


def shown(name: str, value: str) -> str:
    """A value for people: no secret, and of a key its kind and what follows it."""
    if SECRET.search(name):
        return MASK if value else ""
    if name == "sshkeys":
        return "\n".join(re.sub(r"(?<= )\S{16,}(?=\S{8})", "…", key) for key in decoded(value))
    return value


def _kind(name: str) -> _Kind | None:
    return next((kind for kind in _KINDS if re.fullmatch(kind.names, name)), None)


def text(value: Any) -> str:
    """A value as Proxmox takes it; those of the datacenter come as objects."""
    if isinstance(value, dict):
        return properties.render(value)
    return str(int(value)) if isinstance(value, bool) else str(value)
