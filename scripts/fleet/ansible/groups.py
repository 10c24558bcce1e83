"""What only several lines of an inventory show: hosts given twice, missing groups, groups in a circle."""

from collections.abc import Mapping

from fleet.ansible.host import Host
from fleet.findings import Finding

Lines = Mapping[str, int]  # a group to its line


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
