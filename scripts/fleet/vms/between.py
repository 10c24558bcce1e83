"""The rules across VM files: what no two machines may share, and which names a playbook hides."""

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator

from fleet import names
from fleet.findings import Finding
from fleet.vms import addresses
from fleet.vms.files import VM

Owned = Iterator[tuple[Hashable, str, str]]  # (value, field, how a message names it)


def check(
    vms: Collection[VM], playbooks: Collection[str], only: Collection[str] | None = None
) -> list[Finding]:
    """What is wrong between files. `playbooks`: names without .yml. `only`: paths to report on, else all.

    A conflict stands once, at the file that comes later, and names the other place; with `only` it stands at
    the file that is asked about, whichever it is.
    """
    findings = [found for owned in (_names, _addresses, _macs, _vmids) for found in _twice(vms, owned, only)]
    findings += [*_gateways(vms, only), *_nested(vms, only)]
    for vm in vms:
        own = names.tag_playbook_of(vm.name)
        if own and vm.name in playbooks and (only is None or vm.path in only):
            message = (
                f"[ansible {vm.name}] would run playbooks/{vm.name}.yml and never {own}.yml on this machine;"
                " rename the machine or the playbook"
            )
            findings.append(vm.finding("name", message))
    return findings


def _twice(
    vms: Iterable[VM], owned: Callable[[VM], Owned], only: Collection[str] | None
) -> Iterator[Finding]:
    first: dict[Hashable, tuple[VM, str]] = {}
    for vm in vms:
        for value, field, shown in owned(vm):
            other, other_field = first.setdefault(value, (vm, field))
            if other is vm:
                continue
            if only is None or vm.path in only:
                yield _conflict(vm, field, shown, other, other_field)
            elif other.path in only:
                yield _conflict(other, other_field, shown, vm, field)


def _conflict(vm: VM, field: str, shown: str, other: VM, other_field: str) -> Finding:
    return vm.finding(
        field, f"{shown} is that of {other.name} too ({_place(other, other_field)}); change one"
    )


def _place(vm: VM, field: str) -> str:
    return vm.finding(field, "").text().rstrip(": ")


def _names(vm: VM) -> Owned:
    name = vm.data.get("name")
    if isinstance(name, str):
        yield name.lower(), "name", f"the name {name}"


def _addresses(vm: VM) -> Owned:
    config = _ipconfig(vm)
    for interface in (config.ip, config.ip6):
        if interface:
            yield interface.ip, "ipconfig0", f"the address {interface.ip}"


def _macs(vm: VM) -> Owned:
    network = vm.data.get("network")
    mac = network.get("macaddr") if isinstance(network, dict) else None
    if isinstance(mac, str):
        yield mac.upper(), "network.macaddr", f"the MAC address {mac}"


def _vmids(vm: VM) -> Owned:
    vmid = vm.data.get("vmid")
    if type(vmid) is int:
        yield vmid, "vmid", f"vmid {vmid}"


def _gateways(vms: Iterable[VM], only: Collection[str] | None) -> Iterator[Finding]:
    first: dict[Hashable, tuple[VM, addresses.Address]] = {}
    routed: dict[Hashable, VM] = {}
    for vm in vms:
        config = _ipconfig(vm)
        for interface, gateway in ((config.ip, config.gw), (config.ip6, config.gw6)):
            if not interface or not gateway:
                continue
            routed.setdefault(gateway, vm)
            other, known = first.setdefault(interface.network, (vm, gateway))
            if known == gateway:
                continue
            here, there, own, its = (vm, other, gateway, known)
            if only is not None and vm.path not in only:
                if other.path not in only:
                    continue
                here, there, own, its = (other, vm, known, gateway)
            message = (
                f"the gateway of {interface.network} is {own} here and {its} for {there.name}"
                f" ({_place(there, 'ipconfig0')}); a subnet has one"
            )
            yield here.finding("ipconfig0", message)
    for vm in vms:
        for interface in _ipconfig(vm)[::2]:
            user = routed.get(interface.ip) if interface else None
            if user and user is not vm and (only is None or vm.path in only):
                message = (
                    f"{interface.ip} is the gateway of {user.name} ({_place(user, 'ipconfig0')}): unless this"
                    " machine is the router, it would cut the others off"
                )
                yield vm.finding("ipconfig0", message, "warning")


def _nested(vms: Iterable[VM], only: Collection[str] | None) -> Iterator[Finding]:
    """Subnets in a wider one, of which most likely one is mistyped; once for each wider one."""
    owners: dict[addresses.Network, VM] = {}
    for vm in sorted(vms, key=lambda vm: only is not None and vm.path not in only):
        for interface in _ipconfig(vm)[::2]:
            if interface:
                owners.setdefault(interface.network, vm)
    lengths = {(network.version, network.prefixlen) for network in owners}
    wider: dict[addresses.Network, addresses.Network] = {}
    for network in owners:
        for version, length in lengths:
            if version == network.version and length < network.prefixlen:
                wider.setdefault(network.supernet(new_prefix=length), network)
    for network, inner in wider.items():
        if network not in owners:
            continue
        here, there, own, its = owners[network], owners[inner], network, inner
        if only is not None and here.path not in only:
            here, there, own, its = there, here, inner, network
        if only is None or here.path in only:
            message = (
                f"the subnet {own} overlaps {its} of {there.name} ({_place(there, 'ipconfig0')}):"
                " are both prefix lengths right?"
            )
            yield here.finding("ipconfig0", message, "warning")


def _ipconfig(vm: VM) -> addresses.IPConfig:
    text = vm.data.get("ipconfig0")
    return addresses.parse(text)[0] if isinstance(text, str) else addresses.IPConfig()
