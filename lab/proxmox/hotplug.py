"""What of a change a running machine takes at once; the rest waits for its next start (qemu-server 9.2)."""

import re

from lab.proxmox import cloudinit, config, options, properties, schema
from lab.proxmox.formats import FORMATS
from lab.proxmox.guests import Guest

ALWAYS = {
    "description", "hookscript", "lock", "migrate_downtime", "migrate_speed", "name", "onboot", "protection",
    "shares", "startup", "tags", "vmstatestorage", "cpulimit", "cpuunits",
}  # fmt: skip
USB_SYSTEMS = {"l26", "win8", "win10", "win11"}
# A drive's options that its running machine does not take; a network card's that need it to be plugged anew.
COLD_DRIVE = ("aio", "discard", "iothread", "queues", "product", "cache", "ssd", "vendor", "ro")
NEW_CARD = ("model", "macaddr", "queues", "mtu")


def features(guest: Guest) -> set[str]:
    """What may be plugged in while the machine runs."""
    text = str(guest.config.get("hotplug", "1"))
    return {"0": set(), "1": {"network", "disk", "usb"}}.get(text, set(re.split(r"[,; ]+", text)))


def takes(guest: Guest, key: str, value: object) -> bool:
    """Whether a running machine takes an option's new value, None for its removal."""
    name, old, plugged = options.kind(key), guest.config.get(key), features(guest)
    if key in ALWAYS or cloudinit.OPTIONS.fullmatch(key):
        return True
    if key == "hotplug":
        return not re.search("memory|cpu", f"{value or ''} {old or ''}")
    if name == "usb":
        return "usb" in plugged and guest.config.get("ostype") in USB_SYSTEMS
    if key in ("tablet", "vcpus", "memory"):
        return {"tablet": "usb", "vcpus": "cpu", "memory": "memory"}[key] in plugged
    if key == "balloon":  # its device is there from the start or not at all
        return old != 0 if value is None else bool(old is None or old) == bool(value)
    if key == "agent" and value is not None and old is not None:
        now, then = (schema.parse(FORMATS["agent"], str(text), key) for text in (old, value))
        return all(now.get(part) == then.get(part) for part in ("enabled", "type"))
    if name == "net":
        return _takes_card(key, old, value, "network" in plugged)
    if properties.DRIVE.fullmatch(key):
        return _takes_drive(key, old, value, "disk" in plugged)
    return name == "unused"


def _takes_card(key: str, old: str | None, value: str | None, plugged: bool) -> bool:
    if old is None or value is None:
        return plugged
    before, after = properties.parse_net(key, old), properties.parse_net(key, value)
    same = all(before.get(part) == after.get(part) for part in NEW_CARD) and after.get("bridge")
    return bool(same and before.get("bridge")) or plugged


def _takes_drive(key: str, old: str | None, value: str | None, plugged: bool) -> bool:
    fixed = bool(re.match("efidisk|tpmstate", key))
    slow = fixed or bool(re.match("ide|sata", key))
    if old is None or value is None:
        return plugged and not slow
    before, after = properties.parse_drive(key, old), properties.parse_drive(key, value)
    if fixed:
        return False
    if config.is_cdrom(before):
        return True  # the medium is changed
    if before["file"] != after["file"]:
        return plugged and not slow
    return all(before.get(part) == after.get(part) for part in COLD_DRIVE)
