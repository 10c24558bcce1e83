"""What the rules between VM files share: where to report a conflict, how to name the other place, addresses."""

import ipaddress
from collections.abc import Collection, Iterator

from fleet.vms import addresses
from fleet.vms.files import VM
from fleet.vms.gateways import Interface

Only = Collection[str] | None  # paths to report on, None for all


def asked_first(later: tuple[VM, object], earlier: tuple[VM, object], only: Only):
    """Where to report and the other place: at the later file, or at the one that was asked about."""
    return (later, earlier) if only is None or later[0].path in only else (earlier, later)


def place(vm: VM, field: str) -> str:
    finding = vm.finding(field, "")
    return f"{finding.path}:{finding.line}:{finding.col}"


def ipconfig(vm: VM) -> addresses.IPConfig:
    text = vm.data.get("ipconfig0")
    return addresses.parse(text)[0] if isinstance(text, str) else addresses.IPConfig()


def interfaces(vm: VM) -> Iterator[tuple[Interface, str]]:
    """The addresses that a file says, each with its field; a reserved one has no subnet (/32)."""
    config, given = ipconfig(vm), vm.data.get("address")
    for interface in config.interfaces:
        yield interface, "ipconfig0"
    if config.automatic4 and isinstance(given, str) and (address := addresses.reserved(given)[0]):
        yield ipaddress.IPv4Interface(address), "address"
