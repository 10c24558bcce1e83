"""Lines that a person wrote for Terraform's machines: which of them become managed ones, and which contradict it."""

from collections.abc import Collection, Mapping
from pathlib import Path

from fleet.ansible.compare import TERRAFORMS
from fleet.ansible.host import Host, used
from fleet.ansible.inventory import Inventory
from fleet.findings import Finding
from fleet.names import managed
from fleet.paths import shown
from fleet.terraform.outputs import Machine
from fleet.vms.files import load_file


def lines_of(before: Inventory, machines: Mapping[str, Machine]) -> tuple[dict[str, Host], list[str]]:
    """Machines of Terraform that a person wrote into the inventory, and the patterns of all such lines."""
    marked = before.managed()
    found: dict[str, Host] = {}
    patterns: list[str] = []
    for host in before.hosts:
        strange = not any(name in machines or name in marked for name in host.names)
        if (host.defines or strange) and not host.managed:
            patterns.append(host.pattern)
            names = [name for name in host.names if name in machines and name not in marked]
            for name in names:
                if name not in found or (found[name].address is None and host.address):
                    found[name] = host
    return found, patterns


def misplaced(inventory: Inventory, name: str, address: str, vms_dir: Path, path: str) -> Finding | None:
    """An error when a person's line has a machine at another address than its VM file.

    Without Terraform's outputs the file is what is known, and a play would run on the machine at that address.
    """
    if name in inventory.managed() or not managed(name) or not (vms_dir / f"{name}.yaml").exists():
        return None
    vm, _ = load_file(vms_dir / f"{name}.yaml")
    wanted = vm.address() if vm else ""
    if wanted in ("", address):
        return None
    line = next((host.line + 1 for host in inventory.hosts if name in host.names), 0)
    message = (
        f"{name} is at {address} by hand, but at {wanted} in {shown(vms_dir)}/{name}.yaml, so nothing is run on it;"
        f" correct one of the two, or take the file's address with [adopt {name}] in a commit message"
    )
    return Finding(message, path, line)


def unplayed(name: str, vms_dir: Path) -> Finding | None:
    """An error for a machine on which no play runs, such as one with another system than Linux."""
    path = vms_dir / f"{name}.yaml"
    vm = load_file(path)[0] if managed(name) and path.is_file() else None
    if not vm or not vm.unplayed:
        return None
    field = vm.unplayed.partition(":")[0]
    message = (
        f"{name} is made and kept, but no play runs on it; correct this line, or take {name} off the queue"
    )
    return vm.finding(field, message)


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
