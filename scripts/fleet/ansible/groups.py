"""What only several lines of an inventory show: all hosts of a group, what is given twice, missing or in a circle."""

from collections.abc import Collection, Iterable, Mapping

from fleet.ansible.host import Host
from fleet.findings import Finding
from fleet.names import GROUPS, KINDS, PARENTS, group_of, kind_of

Lines = Mapping[str, int]  # a group to its line


def members(hosts: Iterable[Host], below: Mapping[str, Lines]) -> dict[str, set[str]]:
    """Every group to its hosts, those of its children among them."""
    direct: dict[str, set[str]] = {}
    for host in hosts:
        direct.setdefault(host.group, set()).update(host.names)
    return {
        group: set().union(*(direct.get(one, ()) for one in {group, *within(group, below)}))
        for group in direct.keys() | below.keys()
    }


def within(group: str, below: Mapping[str, Lines]) -> set[str]:
    """The groups that a group contains, on whatever level; itself only where it is part of a circle."""
    found: set[str] = set()
    left = [*below.get(group, ())]
    while left:
        if (one := left.pop()) not in found:
            found.add(one)
            left += below.get(one, ())
    return found


def missing(known: set[str], variables: Lines, below: Mapping[str, Lines], path: str) -> list[Finding]:
    """Sections for variables or children of groups that nobody defines."""
    found: list[Finding] = []
    for name, index in variables.items():
        if name not in known:
            message = f"[{name}:vars] is for a group that does not exist; add [{name}] or take it out"
            found.append(Finding(message, path, index + 1))
    for parent, children in below.items():
        for child, index in children.items():
            if child not in known:
                message = f"[{parent}:children] names {child}, a group that does not exist; add [{child}]"
                found.append(Finding(message, path, index + 1))
    return found


def doubles(hosts: list[Host], path: str) -> list[Finding]:
    """Hosts that are listed twice in a group, or have two addresses."""
    found: list[Finding] = []
    seen: dict[tuple[str, str], int] = {}
    definitions: dict[str, Host] = {}
    for host in hosts:
        for name in host.names:
            if (line := seen.setdefault((host.group, name), host.line)) != host.line:
                where = "" if host.group == "ungrouped" else f" in [{host.group}]"
                message = f"{name} is listed twice{where}, first on line {line + 1}"
                found.append(Finding(message, path, host.line + 1))
            elif address := host.address:
                other = definitions.setdefault(name, host)
                if other.address != address or (host.managed and other is not host):
                    message = (
                        f"{name} is at {address} here, but at {other.address} on line"
                        f" {other.line + 1}; keep one of the two lines"
                    )
                    found.append(Finding(message, path, host.line + 1))
    return found


def cycles(below: Mapping[str, Lines], path: str) -> list[Finding]:
    """Groups that are among their own children, found without recursion."""
    found: list[Finding] = []
    done: set[str] = set()
    for start in below:
        trail = {} if start in done else {start: iter(below[start])}
        while trail:
            group = next(reversed(trail))
            child = next(trail[group], None)
            if child is None:
                done.add(group)
                del trail[group]
            elif child in trail:
                names = list(trail)
                circle = " > ".join([*names[names.index(child) :], child])
                found.append(Finding(f"groups contain each other: {circle}", path, below[group][child] + 1))
            elif child in below and child not in done:
                trail[child] = iter(below[child])
    return found


def without_parent(below: Mapping[str, Lines], machines: Iterable[str]) -> list[str]:
    """The groups of these machines that are not, but should be, among the children of another."""
    groups = {group_of(name) for name in machines} & PARENTS.keys()
    return [group for group in GROUPS if group in groups and group not in within(PARENTS[group], below)]


def contradictions(
    hosts: Iterable[Host], below: Mapping[str, Lines], machines: Collection[str], path: str
) -> list[Finding]:
    """An error for each group by hand that contradicts what the names of these machines decide."""
    found: list[Finding] = []
    for group in without_parent(below, machines):
        parent = PARENTS[group]
        for child, index in below.get(group, {}).items():
            if parent in {child, *within(child, below)}:
                message = (
                    f"[{group}:children] has {child} here, but [{parent}] must contain [{group}]; take it out"
                )
                found.append(Finding(message, path, index + 1))
    kinds = {kind.group: kind for kind in KINDS if kind.cluster}
    for host in hosts:
        for name in set(host.names).intersection(machines) if host.group in kinds else ():
            own, there = kind_of(name), kinds[host.group]
            if not own or own.cluster != there.cluster or host.group in (own.group, own.parent):
                continue
            if own.control_plane != there.control_plane:
                message = f"{name} is {own.description} and belongs into [{own.group}], but this line is in"
                found.append(Finding(f"{message} [{host.group}]; take it out", path, host.line + 1))
    return found
