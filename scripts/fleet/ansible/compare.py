"""Where an inventory and Terraform's outputs differ."""

from collections.abc import Collection, Iterable, Mapping

from fleet.ansible.host import Host, used
from fleet.ansible.inventory import Inventory, parse
from fleet.findings import Finding
from fleet.names import group_of
from fleet.names import managed as is_managed
from fleet.terraform.outputs import Machine

TERRAFORMS = ("ansible_host", "ansible_user", "disk_mounts")


def leaving(managed: Iterable[str], machines: Iterable[str]) -> list[str]:
    """The managed machines that Terraform no longer has."""
    return [name for name in managed if name not in machines and is_managed(name)]


def lost_state(
    gone: list[str],
    managed: Mapping[str, Host],
    machines: Mapping[str, Machine],
    approved: Iterable[str],
    path: str,
) -> list[Finding]:
    """An error when so many machines would leave without approval that it looks like a lost state."""
    unapproved = set(gone) - set(approved)
    if not unapproved or (machines and len(unapproved) <= max(1, len(managed) / 2)):
        return []
    message = (
        f"Terraform's outputs have {len(machines) or 'no'} machine{'s' * (len(machines) > 1)}, and"
        f" {len(gone)} of the inventory would be removed: this looks like a lost state. If they really are"
        " gone, pass --approve-destroy for each or remove their lines by hand"
    )
    return [Finding(message, path, managed[gone[0]].line + 1)]


def missing(names: Iterable[str], managed: Mapping[str, Host], path: str) -> list[Finding]:
    """An error for each machine that Terraform's outputs lack although its file is there."""
    message = (
        "has a file in vms/ but is not in Terraform's outputs, and no commit approved its removal; its line and its"
        " place in the queue stay. See what the apply says of it; to remove it, delete its file and commit with"
    )
    return [Finding(f"{name} {message} [destroy {name}]", path, managed[name].line + 1) for name in names]


def by_hand(before: Inventory, machines: Mapping[str, Machine]) -> tuple[dict[str, Host], list[str]]:
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


def differences(before: Inventory, machines: Mapping[str, Machine]) -> dict[str, str]:
    """The managed machines whose lines say something else than Terraform, and what."""
    members, changed = before.members(), {}
    for name, host in sorted(before.managed().items()):
        if name not in machines:
            continue
        parts = _differences(host, machines[name])
        if (group := group_of(name)) and name not in members.get(group, ()):
            parts.append(f"back in [{group}]")
        if parts:
            changed[name] = ", ".join(parts)
    return changed


def remade(before: Inventory, machines: Mapping[str, Machine]) -> list[str]:
    """The managed machines that have another network card than before: they were recreated."""
    macs = {name: host.marks.get("mac") for name, host in before.managed().items() if name in machines}
    return sorted(name for name, mac in macs.items() if mac and mac.lower() != machines[name].mac.lower())


def left_behind(text: str, removed: Iterable[str], path: str) -> list[Finding]:
    """A warning for each range by hand that still includes a removed machine."""
    gone, message = set(removed), "was removed, but this range still includes it; take it out"
    return [
        Finding(f"{name} {message}", path, host.line + 1, level="warning")
        for host in (parse(text).hosts if gone else ())
        for name in host.names
        if name in gone
    ]


def _differences(host: Host, machine: Machine) -> list[str]:
    had = host.variables | host.marks
    wanted = machine.variables() | {"mac": machine.mac, "instance": machine.instance}
    wanted.setdefault("disk_mounts", "")
    return [
        f"{key} {had.get(key, 'none')} -> {value or 'none'}"
        for key, value in wanted.items()
        if had.get(key, "") != value and (value or key == "disk_mounts")
    ]
