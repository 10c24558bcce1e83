"""Lines that a person wrote for Terraform's machines: which of them become managed ones, and which contradict it."""

from collections.abc import Collection, Mapping

from fleet.ansible.compare import TERRAFORMS
from fleet.ansible.host import Host, used
from fleet.ansible.inventory import Inventory
from fleet.findings import Finding
from fleet.terraform.outputs import Machine


def lines_of(before: Inventory, machines: Mapping[str, Machine]) -> tuple[dict[str, Host], list[str]]:
    """Machines of Terraform that a person wrote into the inventory, and the patterns of all such lines."""
    managed = before.managed()
    found: dict[str, Host] = {}
    patterns: list[str] = []
    for host in before.hosts:
        strange = not any(name in machines or name in managed for name in host.names)
        if (host.defines or strange) and not host.managed:
            patterns.append(host.pattern)
            names = [name for name in host.names if name in machines and name not in managed]
            for name in names:
                if name not in found or (found[name].address is None and host.address):
                    found[name] = host
    return found, patterns


def adoptable(
    before: Inventory,
    hosts: Mapping[str, Host],
    machines: Mapping[str, Machine],
    adopt: Collection[str],
    path: str,
) -> tuple[dict[str, Host], list[Finding]]:
    """The lines by hand that can become managed ones, and an error for each that says something else than Terraform.

    A play would otherwise run on whatever machine has the address of that line. `adopt`: the machines for
    which Terraform's values are to be taken ("all": for each).
    """
    known, adopted, found = before.variables(), {}, []
    for name, host in hosts.items():
        own, wanted = {"ansible_host": name} | used(known[name]), machines[name].variables()
        keys = [key for key in TERRAFORMS if key in own and own[key] != wanted.get(key)]
        here, there = (", ".join(f"{key}={of.get(key, 'none')}" for key in keys) for of in (own, wanted))
        if len(host.names) > 1:
            message = f"{host.pattern} includes {name}, which Terraform manages; take it out of the range"
        elif keys and not {name, "all"} & {*adopt}:
            message = (
                f"{name} has {here} by hand, but {there} in Terraform's output ansible_inventory; correct this"
                f" line or vms/{name}.yaml, or take Terraform's values: [adopt {name}] in a commit message, or"
                f" update_inventory.py --adopt {name}"
            )
        else:
            adopted[name] = host
            continue
        found.append(Finding(message, path, host.line + 1))
    return adopted, found
