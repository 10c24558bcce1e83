"""The rules across VM files: what two machines must not share, and which names a playbook hides."""

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator

from fleet import names
from fleet.findings import Finding
from fleet.rules import subnets
from fleet.rules.places import Only, asked_first, ipconfig, place
from fleet.vms.files import VM

Owned = Iterator[tuple[Hashable, str]]  # (value, field)


def check(vms: Collection[VM], playbooks: Collection[str], only: Only = None) -> list[Finding]:
    """What is wrong between files. `playbooks`: names without .yml. `only`: paths to report on, else all.

    A conflict is reported once, at the later file, and names the other place; with `only` it is reported at the
    file that was asked about, whichever of the two that is.
    """
    findings = [
        found for owned in (_names, addresses_of, _macs, _vmids) for found in _twice(vms, owned, only)
    ]
    findings += subnets.check(vms, only)
    for vm in vms:
        own = names.tag_playbook_of(vm.name)
        if own and vm.name in playbooks and (only is None or vm.path in only):
            message = (
                f"[ansible {vm.name}] would run playbooks/{vm.name}.yml and never {own}.yml on this machine;"
                " rename the machine or the playbook"
            )
            findings.append(vm.finding("name", message))
    return findings


def _twice(vms: Iterable[VM], owned: Callable[[VM], Owned], only: Only) -> Iterator[Finding]:
    first: dict[Hashable, tuple[VM, str]] = {}
    for vm in vms:
        for value, field in owned(vm):
            (here, field), (there, its) = asked_first((vm, field), first.setdefault(value, (vm, field)), only)
            if here is not there and (only is None or here.path in only):
                message = f"{value} is already used by {there.name} ({place(there, its)}); change one of them"
                yield here.finding(field, message)


def _names(vm: VM) -> Owned:
    name = vm.data.get("name")
    if isinstance(name, str):
        yield name.lower(), "name"


def addresses_of(vm: VM) -> Owned:
    for interface in ipconfig(vm).interfaces:
        yield interface.ip, "ipconfig0"


def _macs(vm: VM) -> Owned:
    network = vm.data.get("network")
    mac = network.get("macaddr") if isinstance(network, dict) else None
    if isinstance(mac, str):
        yield mac.upper(), "network.macaddr"


def _vmids(vm: VM) -> Owned:
    vmid = vm.data.get("vmid")
    if type(vmid) is int:
        yield vmid, "vmid"
