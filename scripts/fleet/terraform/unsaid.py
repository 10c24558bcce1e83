"""What a VM file does not say stays as the machine has it: Terraform's input is filled from what the provider read.

Without that the provider would set each of these to a default of its own, or take the device away. Of a machine that
it cloned the provider reads back only what was said once; of one that it imported, everything.

More than 150 lines because the table of the provider's names is read as one.
"""

import copy
import re
from collections.abc import Mapping
from typing import Any

from fleet.console import note
from fleet.findings import Fault
from fleet.vms.hardware import SLOTTED

# What the provider records where nothing is set.
_DEFAULTS: dict[str, Any] = {
    "bios": "seabios", "machine": "", "balloon": 0, "cpu_flags": [], "cpulimit": 0, "numa": False, "vcpus": 0,
    "ostype": "l26", "keyboard": "en-us", "tablet": True, "fstrim": False,
}  # fmt: skip


def filled(values: Mapping[str, Any], attributes: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The input with what machines have and their files do not say; equal to `values` where that is nothing.

    `attributes`: by machine, the provider's own record of it, from the state or from a plan's refresh. Raises Fault
    where the provider could not keep what is there.
    """
    anew = copy.deepcopy(dict(values))
    for name, vm in anew["vms"].items():
        if attributes.get(name):
            _fill(vm, attributes[name])
            _check_gaps(name, vm.get("hardware", {}).get("net", {}))
    return anew


def added(values: Mapping[str, Any], anew: Mapping[str, Any]) -> dict[str, list[str]]:
    """By machine, the fields that `filled` added."""
    found = {}
    for name, vm in anew["vms"].items():
        old, new = values["vms"][name].get("hardware", {}), vm.get("hardware", {})
        fields = [
            slot
            for field in new
            for slot in (new[field] if field in SLOTTED else [field])
            if slot not in (old.get(field, {}) if field in SLOTTED else old)
        ]
        cards = [values["vms"][name]["network"], vm["network"]]
        fields += [f"network.{key}" for key in cards[1] if key not in cards[0]]
        if fields:
            found[name] = fields
    return found


def tell(values: Mapping[str, Any], anew: Mapping[str, Any]) -> None:
    """Say what `filled` added, a line for each machine."""
    for name, fields in added(values, anew).items():
        note(f"{name}: not in its file, and so left as it is in Proxmox: {', '.join(fields)}")


def _check_gaps(name: str, cards: Mapping[str, Any]) -> None:
    """The provider counts cards instead of naming them, so that behind a gap one would take another's place."""
    there = {int(slot.removeprefix("net")) for slot, card in cards.items() if card}
    for number in sorted(there):
        if number > 1 and number - 1 not in there:
            raise Fault(
                f"{name} has net{number} without net{number - 1}, which Terraform's provider cannot keep apart;"
                f" only the last card can be taken away, and no number be left out",
                code=2,
            )


def _fill(vm: dict[str, Any], has: Mapping[str, Any]) -> None:
    said, found = vm.get("hardware", {}), _hardware(has)
    drive = _first(has, "initialization")
    if drive.get("interface") and _drive(drive) != {"slot": "ide2", "storage": _system_storage(vm)}:
        found["cloudinit"] = _drive(drive)
    for field, value in found.items():
        if field in SLOTTED:
            said[field] = value | said.get(field, {})
        else:
            said.setdefault(field, value)
    if said:
        vm["hardware"] = said
    card = _first(has, "network_device")
    for field, value in _card_options(card).items():
        vm["network"].setdefault(field, value)
    recorded = {disk["interface"]: disk for disk in has.get("disk") or []}
    for disk in vm["disks"]:
        there = recorded.get(disk["slot"], {})
        # The provider converts none, and would try in each run.
        if "format" in disk and there.get("file_format"):
            disk["format"] = there["file_format"]
        # Of what a disk was made its record says alone: a newer image is for new machines.
        disk.pop("import_from", None)
        if there.get("import_from"):
            disk["import_from"] = there["import_from"]
    vm["boot"] += _appended(vm, has.get("boot_order") or [])


def _appended(vm: Mapping[str, Any], order: list[str]) -> list[str]:
    """CD drives behind the devices to start from: Proxmox puts a new drive there by itself."""
    count, disks = len(vm["boot"]), {disk["slot"] for disk in vm["disks"]}
    more = order[count:] if order[:count] == vm["boot"] else []
    are_drives = all(re.match(r"(?:ide|sata|scsi)\d", slot) and slot not in disks for slot in more)
    return more if count and are_drives else []


def _hardware(has: Mapping[str, Any]) -> dict[str, Any]:
    """The provider's attributes under the names of `hardware` in the input; without what is not set."""
    cpu, memory = _first(has, "cpu"), _first(has, "memory")
    plain = {
        "bios": has.get("bios"),
        "machine": has.get("machine"),
        "balloon": memory.get("floating"),
        "cpu_flags": cpu.get("flags"),
        "cpulimit": cpu.get("limit"),
        "numa": cpu.get("numa"),
        "vcpus": cpu.get("hotplugged"),
        "ostype": _first(has, "operating_system").get("type"),
        "keyboard": has.get("keyboard_layout"),
        "tablet": has.get("tablet_device"),
        "fstrim": _first(has, "agent").get("trim"),
    }
    found = {key: value for key, value in plain.items() if value not in (None, _DEFAULTS[key])}
    # Not rng0, efidisk and tpmstate: the provider's record of them stays when somebody takes them away, and Terraform
    # leaves them alone in a machine that exists.
    blocks = {
        "startup": _startup(_first(has, "startup")),
        "cdrom": _renamed(_first(has, "cdrom"), file="file_id", slot="interface"),
        "ha": _renamed(has.get("ha") or {}, state="state", group="group", max_restart="max_restart",
                       max_relocate="max_relocate"),
        "watchdog": _watchdog(_first(has, "watchdog")),
    }  # fmt: skip
    found |= {key: value for key, value in blocks.items() if value}
    return found | {key: value for key, value in _slotted(has).items() if value}


def _slotted(has: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The devices by slot; the provider keeps no number but its own order of most of them."""
    addresses = _first(has, "initialization").get("ip_config") or []
    return {
        "net": {f"net{n}": _card(card) for n, card in enumerate(has.get("network_device") or [])
                if n and card and card["model"]},
        "ipconfig": {f"ipconfig{n}": _ipconfig(one) for n, one in enumerate(addresses) if n and _ipconfig(one)},
        "hostpci": {
            one["device"]: _renamed(one, mapping="mapping", pcie="pcie", rombar="rombar", x_vga="xvga", mdev="mdev",
                                    id="id", rom_file="rom_file")
            for one in has.get("hostpci") or []
        },
        "usb": {
            f"usb{n}": _renamed(one, mapping="mapping", usb3="usb3", host="host")
            for n, one in enumerate(has.get("usb") or [])
        },
        "virtiofs": {
            f"virtiofs{n}": {key: one[key] for key in ("mapping", "cache", "direct_io", "expose_acl", "expose_xattr")}
            for n, one in enumerate(has.get("virtiofs") or [])
        },
    }  # fmt: skip


def _first(has: Mapping[str, Any], block: str) -> Mapping[str, Any]:
    return next(iter(has.get(block) or []), None) or {}


def _renamed(block: Mapping[str, Any], **names: str) -> dict[str, Any]:
    return {ours: block[theirs] for ours, theirs in names.items() if block.get(theirs) not in (None, "")}


def _card(card: Mapping[str, Any]) -> dict[str, Any]:
    """Beside what every card has, only what is set: the provider writes 0 for nothing."""
    said = {"macaddr": "mac_address", "tag": "vlan_id", "mtu": "mtu", "rate": "rate_limit"}
    options = {ours: card[theirs] for ours, theirs in said.items() if card.get(theirs)}
    return {key: card[key] for key in ("bridge", "model", "firewall")} | options | _card_options(card)


def _card_options(card: Mapping[str, Any]) -> dict[str, Any]:
    options = {"queues": card.get("queues"), "link_down": card.get("disconnected")}
    return {key: value for key, value in options.items() if value}


def _ipconfig(block: Mapping[str, Any]) -> dict[str, Any]:
    parts = {}
    for kind, address, gateway in (("ipv4", "ip", "gw"), ("ipv6", "ip6", "gw6")):
        parts |= _renamed(_first(block or {}, kind), **{address: "address", gateway: "gateway"})
    return parts


def _startup(block: Mapping[str, Any]) -> dict[str, Any]:
    names = {"order": "order", "up": "up_delay", "down": "down_delay"}
    return {ours: block[theirs] for ours, theirs in names.items() if block.get(theirs, -1) not in (None, -1)}


def _watchdog(block: Mapping[str, Any]) -> dict[str, Any]:
    return {key: block[key] for key in ("model", "action")} if block.get("enabled") else {}


def _drive(block: Mapping[str, Any]) -> dict[str, Any]:
    return {"slot": block["interface"], "storage": block["datastore_id"]}


def _system_storage(vm: Mapping[str, Any]) -> str:
    """Where the cloud-init drive is if nobody says otherwise; proxmox/modules/vm has the same."""
    disks = vm["disks"]
    return next((disk["storage"] for disk in disks if disk["slot"] in vm["boot"]), disks[0]["storage"])
