"""The rules across VM files: what two machines must not share, and which names a playbook hides."""

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator

from fleet import names
from fleet.findings import Finding, cut
from fleet.rules import members, subnets
from fleet.rules.places import Only, asked_first, interfaces, place
from fleet.vms import addresses
from fleet.vms.files import VM
from fleet.vms.hardware import slots

Owned = Iterator[tuple[Hashable, str]]  # (value, field)


def check(vms: Collection[VM], playbooks: Collection[str], only: Only = None) -> list[Finding]:
    """What is wrong between files. `playbooks`: names without .yml. `only`: paths to report on, else all.

    A conflict is reported once, at the later file, and names the other place; with `only` it is reported at the
    file that was asked about, whichever of the two that is.
    """
    findings = [
        found
        for owned in (_names, _formerly, addresses_of, _macs, _vmids, _usb)
        for found in _twice(vms, owned, only)
    ]
    findings += [*_names_in_use(vms, only), *subnets.check(vms, only)]
    findings += _shared_devices(vms, only)
    findings += members.check(vms, only)
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


def _formerly(vm: VM) -> Owned:
    old = vm.data.get("formerly")
    if isinstance(old, str):
        yield f"the earlier name {cut(old)}", "formerly"


def _names_in_use(vms: Collection[VM], only: Only) -> Iterator[Finding]:
    """Earlier names that are the names of other machines: which of the two an existing machine is, nothing tells."""
    named = {vm.data.get("name"): vm for vm in vms if isinstance(vm.data.get("name"), str)}
    for vm in vms:
        old = vm.data.get("formerly")
        other = named.get(old) if isinstance(old, str) else None
        if other and other is not vm and (only is None or vm.path in only):
            message = (
                f"{other.name} still has a file ({place(other, 'name')}); remove it if it is this machine, and this"
                " line if the machine was renamed before"
            )
            yield vm.finding("formerly", message)


def addresses_of(vm: VM) -> Owned:
    for interface, field in interfaces(vm):
        yield interface.ip, field
    for field in slots("ipconfig", vm.data):
        text = vm.data[field]
        for interface in addresses.parse(text)[0].interfaces if isinstance(text, str) else ():
            yield interface.ip, field


def _macs(vm: VM) -> Owned:
    for field in ("network", *slots("net", vm.data)):
        network = vm.data.get(field)
        mac = network.get("macaddr") if isinstance(network, dict) else None
        if isinstance(mac, str):
            yield mac.upper(), f"{field}.macaddr"


def _usb(vm: VM) -> Owned:
    """USB devices by node: a mapping has one device on each."""
    for slot in slots("usb", vm.data):
        device = vm.data[slot]
        if isinstance(device, dict) and vm.data.get("vm_state") != "stopped":
            yield f"{device.get('mapping')} of {vm.data.get('target_node')}", f"{slot}.mapping"


def _shared_devices(vms: Iterable[VM], only: Only) -> Iterator[Finding]:
    """PCI devices that two machines of a node, or of an HA group, are given: a mapping may have several devices."""
    first: dict[Hashable, tuple[VM, str]] = {}
    for vm in vms:
        ha = vm.data.get("ha")
        group = ha.get("group") if isinstance(ha, dict) else None
        for slot in [*slots("hostpci", vm.data), *slots("usb", vm.data)]:
            device = vm.data[slot]
            mapping = device.get("mapping") if isinstance(device, dict) else None
            for place_ in [
                f"on {vm.data.get('target_node')}",
                *([f"in the HA group {group}"] if group else []),
            ]:
                if not mapping or (slot.startswith("usb") and not place_.startswith("in ")):
                    continue
                key = (str(mapping), place_)
                (here, field), (there, its) = asked_first((vm, slot), first.setdefault(key, (vm, slot)), only)
                if here is not there and (only is None or here.path in only):
                    message = (
                        f"{mapping} is given to {there.name} too ({place(there, its)}), which is {place_} as well;"
                        " both can only run there if the mapping has a device for each"
                    )
                    yield here.finding(f"{field}.mapping", message, "warning")


def _vmids(vm: VM) -> Owned:
    vmid = vm.data.get("vmid")
    if type(vmid) is int:
        yield vmid, "vmid"
