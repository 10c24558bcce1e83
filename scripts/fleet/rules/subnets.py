"""The rules for subnets that several machines share: one gateway, one prefix length."""

from collections.abc import Collection, Hashable, Iterable, Iterator

from fleet.findings import Finding
from fleet.rules.places import Only, asked_first, interfaces, ipconfig, place
from fleet.vms import addresses
from fleet.vms.files import VM
from fleet.vms.schema import part_of


def check(vms: Collection[VM], only: Only) -> list[Finding]:
    """What does not fit between machines of one subnet; `only`: paths to report on, None for all."""
    return [*_gateways(vms, only), *_nested(vms, only)]


def _gateways(vms: Iterable[VM], only: Only) -> Iterator[Finding]:
    """Gateways that differ within a subnet, which some networks have on purpose, and machines that are one."""
    first: dict[Hashable, tuple[VM, addresses.Address]] = {}
    routed: dict[Hashable, VM] = {}
    for vm in vms:
        config, link = ipconfig(vm), _link(vm)
        for interface, gateway in ((config.ip, config.gw), (config.ip6, config.gw6)):
            if not interface or not gateway:
                continue
            routed.setdefault((link, gateway), vm)
            (here, own), (there, its) = asked_first(
                (vm, gateway), first.setdefault((link, interface.network), (vm, gateway)), only
            )
            if own != its and (only is None or here.path in only):
                message = (
                    f"the gateway of {interface.network} is {own} here but {its} for {there.name}"
                    f" ({place(there, 'ipconfig0')}); are both right?"
                )
                yield here.finding("ipconfig0", message, "warning")
    for vm in vms:
        for interface, field in interfaces(vm):
            user = routed.get((_link(vm), interface.ip))
            if user and user is not vm and (only is None or vm.path in only):
                message = (
                    f"{interface.ip} is the gateway of {user.name} ({place(user, 'ipconfig0')}); unless this"
                    " machine is the router, it would cut off the others"
                )
                yield vm.finding(field, message, "warning")


def _nested(vms: Iterable[VM], only: Only) -> Iterator[Finding]:
    """Subnets inside a wider one, where one of the two is probably mistyped; once for each wider one."""
    owners: dict[tuple[Hashable, addresses.Network], VM] = {}
    for vm in sorted(vms, key=lambda vm: only is not None and vm.path not in only):
        for interface in ipconfig(vm).interfaces:
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
                f"the subnet {own} overlaps {its} of {there.name} ({place(there, 'ipconfig0')});"
                " are both prefix lengths right?"
            )
            yield here.finding("ipconfig0", message, "warning")


def _link(vm: VM) -> tuple[object, object]:
    """Bridge and VLAN of a machine: only within one of these do machines share subnets and gateways."""
    network = vm.data.get("network")
    given = network if isinstance(network, dict) else {}
    default = part_of("network.bridge")["default"]
    return str(given.get("bridge", default)), str(given.get("tag"))
