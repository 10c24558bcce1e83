"""The rules for a machine's network cards, their addresses, and devices that are counted by slot."""

import re
from collections.abc import Iterator
from typing import Any

from fleet.findings import Finding, cut
from fleet.vms import addresses, hardware
from fleet.vms.files import VM
from fleet.vms.schema import part_of

_COUNTED = {"net": 1, "usb": 0, "virtiofs": 0}  # kinds that Terraform's provider counts instead of naming


def slots_have_no_gap(vm: VM) -> Iterator[Finding]:
    for kind, first in _COUNTED.items():
        said = {int(slot.removeprefix(kind)): slot for slot in hardware.slots(kind, vm.data) if part_of(slot)}
        kept = {number for number, slot in said.items() if vm.data[slot] != hardware.NONE}
        for number in sorted(kept):
            if number > first and number - 1 in said and number - 1 not in kept:
                message = f"cannot be taken away while {kind}{number} stays; only the last one can"
                yield vm.finding(said[number - 1], message)
            elif number > first and number - 1 not in said:
                missing = f"{kind}{number - 1}"
                yield vm.finding(said[number], f"there is no {missing} before it; number them without gaps")


def addresses_have_a_card(vm: VM) -> Iterator[Finding]:
    cards = {
        slot.removeprefix("net") for slot in hardware.slots("net", vm.data) if vm.data[slot] != hardware.NONE
    }
    gateways: dict[str, str] = {}
    for field in ["ipconfig0", *hardware.slots("ipconfig", vm.data)]:
        text = vm.data.get(field)
        if not isinstance(text, str):
            continue
        number = field.removeprefix("ipconfig")
        if number != "0":
            yield from _further(vm, field, text)
            if number not in cards and part_of(field):
                message = f"there is no net{number}; add it, for example `net{number}: {{bridge: vmbr1}}`"
                yield vm.finding(field, message)
        for key in re.findall(r"(?:^|,)(gw6?)=", text):
            other = gateways.setdefault(key, field)
            if other != field:
                message = f"{key} is set in {other} too; with two default gateways answers take the wrong way"
                yield vm.finding(field, message, "warning")


def _further(vm: VM, field: str, text: str) -> Iterator[Finding]:
    """What is wrong with the addresses of a further card, which may lack each part and use DHCP."""
    static = ",".join(part for part in text.split(",") if part != "ip=dhcp")
    if static != text and re.search(r"(?:^|,)gw=", text):
        yield vm.finding(field, "gw is set with ip=dhcp, where the DHCP server gives the gateway; remove gw")
        return
    for problem in addresses.parse(static)[1] if static else ():
        if not problem.startswith("ip is missing"):
            yield vm.finding(field, problem)


def networks_fit(vm: VM) -> Iterator[Finding]:
    for field in ("network", *hardware.slots("net", vm.data)):
        network = vm.data.get(field)
        if isinstance(network, dict):
            yield from _network_fits(vm, field, network)


def _network_fits(vm: VM, field: str, network: dict[str, Any]) -> Iterator[Finding]:
    model = network.get("model", "virtio")
    for option in ("mtu", "queues"):
        if option in network and isinstance(model, str) and model != "virtio":
            message = f"applies to the model virtio only, not to {cut(model)}; remove it"
            yield vm.finding(f"{field}.{option}", message)
    mac = network.get("macaddr")
    if isinstance(mac, str) and re.fullmatch(r"[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}", mac):
        first, colons = int(mac[:2], 16), mac.replace("-", ":")
        if mac != colons:
            yield vm.finding(f"{field}.macaddr", f"write {mac} with colons: {colons}")
        if first & 1:
            message = f"{mac} is a multicast address; a network card's is like {first & 0xFE:02X}{colons[2:]}"
            yield vm.finding(f"{field}.macaddr", message)
        elif not any(int(part, 16) for part in colons.split(":")):
            message = f"{mac} is not a valid address for a card; remove the line, and Proxmox assigns one"
            yield vm.finding(f"{field}.macaddr", message)


RULES = (slots_have_no_gap, addresses_have_a_card, networks_fit)
