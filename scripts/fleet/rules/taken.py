"""The addresses that VM files give away: no machine on DHCP may come to claim one of them."""

from collections.abc import Iterable

from fleet.rules.between import addresses_of
from fleet.rules.places import ipconfig, place
from fleet.vms import values
from fleet.vms.files import VM


def addresses(vms: Iterable[VM]) -> dict[str, str]:
    """Each address to what has it, with its place: machines, gateways, name servers."""
    machines, others = {}, {}
    for vm in vms:
        for address, field in addresses_of(vm):
            machines[str(address)] = f"that of {vm.name} ({place(vm, field)})"
        if gateway := ipconfig(vm).gw:
            others[str(gateway)] = f"the gateway of {vm.name} ({place(vm, 'ipconfig0')})"
        for server in values.words(vm.data.get("nameserver")):
            others[str(server)] = f"a name server of {vm.name} ({place(vm, 'nameserver')})"
    return others | machines
