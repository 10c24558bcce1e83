"""The rules across VM files: what two machines must not share, and which names a playbook hides."""

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator

from fleet import names
from fleet.findings import Finding
from fleet.vms import addresses
from fleet.vms.files import VM
from fleet.vms.schema import schema

Owned = Iterator[tuple[Hashable, str]]  # (value, field)
Only = Collection[str] | None


def check(vms: Collection[VM], playbooks: Collection[str], only: Only = None) -> list[Finding]:
    """What is wrong between files. `playbooks`: names without .yml. `only`: paths to report on, else all.

    A conflict is reported once, at the later file, and names the other place; with `only` it is reported at the
    file that was asked about, whichever of the two that is.
    """
    findings = [
        found for owned in (_names, addresses_of, _macs, _vmids) for found in _twice(vms, owned, only)
    ]
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


def _twice(vms: Iterable[VM], owned: Callable[[VM], Owned], only: Only) -> Iterator[Finding]:
    first: dict[Hashable, tuple[VM, str]] = {}
    for vm in vms:
        for value, field in owned(vm):
            (here, field), (there, its) = _asked_first(
                (vm, field), first.setdefault(value, (vm, field)), only
            )
            if here is not there and (only is None or here.path in only):
                message = (
                    f"{value} is already used by {there.name} ({_place(there, its)}); change one of them"
                )
                yield here.finding(field, message)


def _asked_first(later: tuple[VM, object], earlier: tuple[VM, object], only: Only):
    """Where to report and the other place: at the later file, or at the one that was asked about."""
    return (later, earlier) if only is None or later[0].path in only else (earlier, later)


def _place(vm: VM, field: str) -> str:
    finding = vm.finding(field, "")
    return f"{finding.path}:{finding.line}:{finding.col}"


def _names(vm: VM) -> Owned:
    name = vm.data.get("name")
    if isinstance(name, str):
        yield name.lower(), "name"


def addresses_of(vm: VM) -> Owned:
    for interface in _ipconfig(vm).interfaces:
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


def _gateways(vms: Iterable[VM], only: Only) -> Iterator[Finding]:
    """Gateways that differ within a subnet, which some networks have on purpose, and machines that are one."""
    first: dict[Hashable, tuple[VM, addresses.Address]] = {}
    routed: dict[Hashable, VM] = {}
    for vm in vms:
        config, link = _ipconfig(vm), _link(vm)
        for interface, gateway in ((config.ip, config.gw), (config.ip6, config.gw6)):
            if not interface or not gateway:
                continue
            routed.setdefault((link, gateway), vm)
            (here, own), (there, its) = _asked_first(
                (vm, gateway), first.setdefault((link, interface.network), (vm, gateway)), only
            )
            if own != its and (only is None or here.path in only):
                message = (
                    f"the gateway of {interface.network} is {own} here but {its} for {there.name}"
                    f" ({_place(there, 'ipconfig0')}); are both right?"
                )
                yield here.finding("ipconfig0", message, "warning")
    for vm in vms:
        for interface in _ipconfig(vm).interfaces:
            user = routed.get((_link(vm), interface.ip))
            if user and user is not vm and (only is None or vm.path in only):
                message = (
                    f"{interface.ip} is the gateway of {user.name} ({_place(user, 'ipconfig0')}); unless this"
                    " machine is the router, it would cut off the others"
                )
                yield vm.finding("ipconfig0", message, "warning")


def _nested(vms: Iterable[VM], only: Only) -> Iterator[Finding]:
    """Subnets inside a wider one, where one of the two is probably mistyped; once for each wider one."""
    owners: dict[tuple[Hashable, addresses.Network], VM] = {}
    for vm in sorted(vms, key=lambda vm: only is not None and vm.path not in only):
        for interface in _ipconfig(vm).interfaces:
            # Of a /32 or /128 nobody else is on the link, whatever the wider subnet says.
            if interface.network.num_addresses > 1:
                owners.setdefault((_link(vm), interface.network), vm)
    lengths = {(network.version, network.prefixlen) for _, network in owners}
    wider: dict[tuple[Hashable, addresses.Network], addresses.Network] = {}
    for link, network in owners:
        for version, length in lengths:
            if version == network.version and length < network.prefixlen:
                wider.setdefault((link, network.supernet(new_prefix=length)), network)
    for (link, network), inner in wider.items():
        if (link, network) not in owners:
            continue
        here, there, own, its = owners[link, network], owners[link, inner], network, inner
        if only is not None and here.path not in only:
            here, there, own, its = there, here, inner, network
        if only is None or here.path in only:
            message = (
                f"the subnet {own} overlaps {its} of {there.name} ({_place(there, 'ipconfig0')});"
                " are both prefix lengths right?"
            )
            yield here.finding("ipconfig0", message, "warning")


def _link(vm: VM) -> tuple[object, object]:
    """Bridge and VLAN of a machine: only within one of these do machines share subnets and gateways."""
    network = vm.data.get("network")
    given = network if isinstance(network, dict) else {}
    default = schema()["properties"]["network"]["properties"]["bridge"]["default"]
    return str(given.get("bridge", default)), str(given.get("tag"))


def _ipconfig(vm: VM) -> addresses.IPConfig:
    text = vm.data.get("ipconfig0")
    return addresses.parse(text)[0] if isinstance(text, str) else addresses.IPConfig()
