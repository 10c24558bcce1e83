"""Options of a machine's configuration: what is allowed, and how Proxmox writes them down.

A drive or a network device is a property string: the default key first and bare, the others sorted.
Everything else is kept as sent.
"""

import re
import secrets

from lab.proxmox import formats, schema
from lab.proxmox.errors import invalid_keys

DRIVE = re.compile(r"(?:ide[0-3]|sata[0-5]|scsi(?:[12]?\d|30)|virtio(?:\d|1[0-5])|efidisk0|tpmstate0)")
UNUSED = re.compile(r"unused\d{1,3}")
NET = re.compile(r"net(?:[12]?\d|3[01])")


def parse(text: str, default_key: str) -> dict[str, str]:
    """`local:1,size=2G` -> {"file": "local:1", "size": "2G"}."""
    found = {}
    for part in str(text).split(","):
        if not part.strip():
            continue
        key, separator, value = part.strip().partition("=")
        if separator:
            found[key] = value
        else:
            found[default_key] = key
    return found


def show(properties: dict[str, str], default_key: str, skip=()) -> str:
    """The inverse of `parse` as PVE's print_property_string does it."""
    head = [properties[default_key]] if default_key in properties else []
    tail = [f"{k}={v}" for k, v in sorted(properties.items()) if k != default_key and k not in skip]
    return ",".join(head + tail)


def parse_drive(key: str, text: str) -> dict[str, str]:
    """A drive's values; ApiError 400 where they fit no drive of this bus."""
    bus = re.sub(r"\d+$", "", key)
    drive = _parsed(formats.DRIVES[bus], key, text)
    if drive.get("media") == "cdrom" and (bus == "virtio" or drive.keys() & {"format", "snapshot"}):
        raise invalid_keys({key: "unable to parse drive options"})
    return drive


def parse_net(key: str, text: str) -> dict[str, str]:
    """Model names double as keys of the MAC address: `virtio=BC:24:…` is model virtio."""
    return _parsed(formats.NET, key, text)


def _parsed(form: schema.Format, key: str, text: str) -> dict[str, str]:
    try:
        return schema.parse(form, text, key)
    except schema.Unfit as error:
        raise invalid_keys({key: f"invalid format - {error}\n"}) from None


def show_net(net: dict[str, str]) -> str:
    rest = {k: v for k, v in net.items() if k not in ("model", "macaddr")}
    return show({"model": f"{net['model']}={net['macaddr']}", **rest}, "model")


def new_mac() -> str:
    return "BC:24:11:" + ":".join(f"{byte:02X}" for byte in secrets.token_bytes(3))


def to_bytes(text: str) -> int:
    """`20G` or `21474836480` in bytes; ValueError for anything else."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT]?)", str(text))
    if not match:
        raise ValueError(text)
    return int(float(match[1]) * 1024 ** " KMGT".index(match[2] or " "))


def show_size(size: int) -> str:
    """Bytes as PVE prints them: the largest unit that divides evenly."""
    unit = 0
    while unit < 4 and size and size % 1024 == 0:
        size, unit = size // 1024, unit + 1
    return f"{size}{' KMGT'[unit].strip()}"
