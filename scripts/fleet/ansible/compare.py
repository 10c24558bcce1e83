"""Where an inventory and Terraform's outputs differ."""

from collections.abc import Collection, Iterable, Mapping

from fleet.ansible.groups import without_parent
from fleet.ansible.host import Host
from fleet.ansible.inventory import Inventory, parse
from fleet.ansible.queue import Entry
from fleet.findings import Finding
from fleet.names import PARENTS, group_of
from fleet.names import managed as is_managed
from fleet.terraform.outputs import Machine

TERRAFORMS = ("ansible_host", "ansible_user", "disk_mounts")


def leaving(managed: Iterable[str], machines: Iterable[str]) -> list[str]:
    """The managed machines that Terraform no longer has."""
    return [name for name in managed if name not in machines and is_managed(name)]


def renames(before: Inventory, machines: Collection[str], formerly: Mapping[str, str]) -> dict[str, str]:
    """The machines of Terraform's outputs that the inventory has under their earlier names, with those."""
    known, managed = before.variables(), before.managed()
    return {
        name: old
        for name, old in formerly.items()
        if name in machines and name not in known and old in managed and old not in machines
    }


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


def shared(machines: Mapping[str, Machine], before: Inventory, path: str) -> list[Finding]:
    """An error for each address of a machine that another machine, or a host that a person wrote, has too."""
    owners: dict[str, str] = {}
    found: list[Finding] = []
    for name, machine in machines.items():
        if (other := owners.setdefault(machine.address, name)) != name:
            message = (
                f"{other} and {name} both have the address {machine.address} in Terraform's output"
                f" ansible_inventory; change vms/{other}.yaml or vms/{name}.yaml"
            )
            found.append(Finding(message))
    for host in before.hosts:
        if host.address in owners and not host.managed and not machines.keys() & set(host.names):
            name = owners[host.address]
            message = f"{host.pattern} has the address {host.address}, which {name} has in Terraform's output"
            message += f" ansible_inventory; change this line or vms/{name}.yaml"
            found.append(Finding(message, path, host.line + 1))
    return found


def without_address(names: Iterable[str]) -> list[Finding]:
    message = (
        "has no inventory line yet, because its guest agent has not told its address; the next run asks again"
    )
    return [Finding(f"{name} {message}", level="notice") for name in sorted(names)]


def unknown(entries: Iterable[tuple[int, Entry]], known: Collection[str], path: str) -> list[Finding]:
    message = "is queued but not in the inventory; its line is kept"
    return [
        Finding(f"{entry.host} {message}", path, number, level="warning")
        for number, entry in entries
        if entry.host not in known
    ]


def left_alone(
    managed: Iterable[str], names: Collection[str], there: Mapping[str, Machine]
) -> dict[str, str]:
    """Of these machines those that have a line, each with the reason why it stays as it is."""
    reasons = {True: "its address is not known now", False: "no play runs on it"}
    return {name: reasons[there[name].plays] for name in managed if name in names}


def differences(before: Inventory, machines: Mapping[str, Machine]) -> dict[str, str]:
    """The managed machines whose lines say something else than Terraform, and what."""
    members, outside, changed = before.members(), without_parent(before.children, machines), {}
    for name, host in sorted(before.managed().items()):
        if name not in machines:
            continue
        parts = _differences(host, machines[name])
        if (group := group_of(name)) and name not in members.get(group, ()):
            above = members.get(PARENTS.get(group, ""), ())
            parts.append(f"{'moved to' if name in above else 'back in'} [{group}]")
        if group in outside:
            parts.append(f"[{group}] is below [{PARENTS[group]}]")
        if parts:
            changed[name] = ", ".join(parts)
    return changed


def remade(before: Inventory, machines: Mapping[str, Machine]) -> list[str]:
    """The managed machines that have another network card than before: they were recreated."""
    macs = {name: host.marks.get("mac") for name, host in before.managed().items() if name in machines}
    return sorted(name for name, mac in macs.items() if mac and mac.lower() != machines[name].mac.lower())


def left_behind(text: str, removed: Iterable[str], path: str) -> list[Finding]:
    """A warning for each range by hand that still includes a removed machine."""
    gone, message = set(removed), "is gone, but this range still includes it; take it out"
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
