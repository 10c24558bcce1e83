"""A guest's configuration as the fields of a VM file, also where Proxmox's default is another than the file's."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from fleet.adopt import devices, drives
from fleet.adopt.devices import flag, number
from fleet.adopt.reading import Impossible, Reading, Unsayable
from fleet.proxmox.guest import Guest
from fleet.vms.machine import TAG
from fleet.vms.schema import schema

# By option: the field, and how its text is read.
_PLAIN: dict[str, tuple[str, Callable[[str], Any]]] = {
    "balloon": ("balloon", number),
    "bios": ("bios", str),
    "cicustom": ("cicustom", devices.cicustom),
    "ciuser": ("ciuser", str),
    "cores": ("cores", number),
    "cpulimit": ("cpulimit", number),
    "cpuunits": ("cpuunits", number),
    "efidisk0": ("efidisk", devices.efidisk),
    "hotplug": ("hotplug", str),
    "keyboard": ("keyboard", str),
    "machine": ("machine", str),
    "memory": ("memory", lambda text: number(text.removeprefix("current="))),
    "nameserver": ("nameserver", lambda text: " ".join(re.split(r"[;,\s]+", text.strip()))),
    "numa": ("numa", flag),
    "onboot": ("onboot", flag),
    "ostype": ("ostype", str),
    "protection": ("protection", flag),
    "rng0": ("rng0", devices.rng),
    "scsihw": ("scsihw", str),
    "searchdomain": ("searchdomain", str),
    "sockets": ("sockets", number),
    "startup": ("startup", devices.startup),
    "tablet": ("tablet", flag),
    "tpmstate0": ("tpmstate", devices.tpmstate),
    "vcpus": ("vcpus", number),
    "vga": ("vga", devices.vga),
    "watchdog": ("watchdog", devices.watchdog),
}
_SLOTTED: dict[str, Callable[[str], Any]] = {
    "net": devices.card,
    "ipconfig": str,
    "hostpci": devices.hostpci,
    "usb": devices.usb,
    "virtiofs": devices.virtiofs,
}
# What Proxmox does where the option is not written.
UNSET: dict[str, Any] = {
    "cores": 1, "memory": 512, "cpu_type": "kvm64", "scsihw": "lsi", "ostype": "other", "onboot": False,
    "agent": False,
}  # fmt: skip
# Not a setting, or one that every machine of this project has.
_SILENT = re.compile(
    r"digest|meta|vmgenid|smbios1|name|lock|parent|description|tags|snaptime|running.*|template"
)


def read(guest: Guest, config: Mapping[str, Any]) -> Reading:
    """What a VM file says of a guest; `config` as Proxmox answers it. Nothing is checked by the VM file's rules."""
    found = Reading(
        {"name": config.get("name", ""), "target_node": guest.node, "vmid": guest.vmid}, {}, [], [], []
    )
    has = {option: str(text) for option, text in config.items()}
    fields = found.fields
    fields |= (
        {"clone": "unknown"} | UNSET | {"vm_state": "running" if guest.status == "running" else "stopped"}
    )
    if guest.pool:
        fields["pool"] = guest.pool
    for option, text in has.items():
        if option in _PLAIN:
            field, kind = _PLAIN[option]
            add(found, option, field, lambda text=text, kind=kind: kind(text))
        elif (slot := re.fullmatch(r"([a-z]+)\d+", option)) and slot[1] in _SLOTTED:
            field = "network" if option == "net0" else option
            add(found, option, field, lambda text=text, kind=_SLOTTED[slot[1]]: kind(text))
        elif not (_SILENT.fullmatch(option) or drives.DRIVE.fullmatch(option) or option in drives.CLOUD_INIT):
            _others(found, option, text)
    _notes(found, has)
    drives.add_disks(found, has)
    drives.add_drives(found, has)
    _cards(found)
    for field, value in schema()["properties"].items():
        if field in fields and fields[field] == value.get("default", NotImplemented):
            del fields[field]
    return found


def add(found: Reading, option: str, field: str, value: Callable[[], Any]) -> None:
    """Add a field, or the reason why no file says it."""
    try:
        found.fields[field] = value()
    except Unsayable as error:
        found.unsaid.append(f"{option} {error}")
    except Impossible as error:
        found.refused.append(f"{option} {error}")
    except (ValueError, KeyError):
        found.refused.append(f"{option} has a form that is not understood")


def _others(found: Reading, option: str, text: str) -> None:
    """Options that are read in a way of their own, and those of which Terraform knows nothing."""
    fields = found.fields
    if option == "cpu":
        said, more = devices.cpu(text)
        fields |= said
        if more:
            found.unsaid.append(f"cpu has {', '.join(more)}, which a change of the CPU would take away")
    elif option == "agent":
        has = devices.parse(text, "enabled")
        enabled, fstrim = flag(has.get("enabled")), flag(has.get("fstrim_cloned_disks"))
        fields["agent"] = {"enabled": enabled, "fstrim": True} if fstrim else enabled
        if "freeze-fs-on-backup" in has or "freeze-fs" in has:
            what = "freeze-fs-on-backup, which Terraform's provider would take away"
            found.refused.append(f"agent has {what}; remove it there")
    elif option == "boot":
        if text.startswith("order="):
            fields["boot"] = text
        else:
            found.kept.append(f"boot ({text})")
    elif not re.fullmatch(r"serial0", option) or text != "socket":
        found.kept.append(option)


def _notes(found: Reading, has: Mapping[str, str]) -> None:
    if text := has.get("description", "").strip():
        found.fields["description"] = text
    tags = [tag for tag in re.split(r"[;,\s]+", has.get("tags", "")) if tag and tag != TAG]
    if tags:
        found.fields["tags"] = tags


def _cards(found: Reading) -> None:
    """The provider counts cards, so that a gap would move those behind it; and every machine has a first one."""
    numbers = sorted(int(field[3:]) for field in found.fields if re.fullmatch(r"net\d+", field))
    if "network" not in found.fields and not any(one.startswith("net0 ") for one in found.refused):
        found.refused.append("has no card net0, which every machine with a VM file has; add one")
    for expected, number_ in enumerate(numbers, 1):
        if number_ != expected:
            found.refused.append(
                f"has net{number_} without net{number_ - 1}, which Terraform's provider cannot keep apart;"
                f" make it net{expected}"
            )
            break
