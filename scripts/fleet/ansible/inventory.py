"""An Ansible INI inventory as lines, read as Ansible reads it.

A line with the comment `# terraform mac=… instance=…` is a managed one; every other is a person's.
Lines count from 1 in findings and from 0 inside.
"""

import re
import shlex
from typing import NamedTuple

from fleet.findings import Finding

INDIVIDUAL = "# Individual hosts"
RANGE_LIMIT = 100_000  # hosts that one file may name through ranges
MARK = re.compile(r"#\s*terraform\b")
# A word of a host line with the space before it.
TOKEN = re.compile(r"""[ \t]*(?:[^\s"'#\\]|\\.|"(?:\\.|[^"\\])*"|'[^']*')+""")

_SECTION = re.compile(r"\[([^:\]\s]+)(?::(\w+))?\]\s*(?:#.*)?")
_CHILD = re.compile(r"([^:\]\s]+)\s*(?:#.*)?")
_MARKER = re.compile(r"#\s*individual hosts\b.*", re.I)
_PORT = re.compile(r"((?:[^:\[\]]|\[[^\]]*\])*):(\d+)")
_RANGE = re.compile(r"([^\[\]]*)\[(?:(\d*):(\d+)|([a-zA-Z]):([a-zA-Z]))(?::(\d+))?\](.*)")


class Host(NamedTuple):
    """One host line. `names` are several where `pattern` is a range."""

    line: int
    group: str
    pattern: str
    names: tuple[str, ...]
    variables: dict[str, str]
    comment: str

    @property
    def managed(self) -> bool:
        return len(self.names) == 1 and bool(MARK.match(self.comment))

    @property
    def defines(self) -> bool:
        """Whether the line says what the host is, and not only that it belongs to a group."""
        return self.managed or self.group in ("all", "ungrouped") or "ansible_host" in self.variables

    @property
    def marks(self) -> dict[str, str]:
        """A managed line's mac and instance."""
        return dict(re.findall(r"\b(mac|instance)=(\S+)", self.comment)) if self.managed else {}


class Inventory(NamedTuple):
    lines: list[tuple[str, str]]  # text and line ending
    hosts: list[Host]
    slots: dict[str, int]  # group, or INDIVIDUAL, to the line after which a new host of it goes
    first_section: int
    children: dict[str, dict[str, int]]  # group to the groups in it, with their lines
    findings: list[Finding]  # what Ansible would refuse, or take otherwise than it is meant

    def managed(self) -> dict[str, Host]:
        return {host.names[0]: host for host in self.hosts if host.managed}

    def members(self) -> dict[str, set[str]]:
        """Every group to the hosts that stand in it directly."""
        groups: dict[str, set[str]] = {}
        for host in self.hosts:
            groups.setdefault(host.group, set()).update(host.names)
        return groups

    def variables(self) -> dict[str, dict[str, str]]:
        """Every host to the variables and marks of its own lines; those of its groups are not among them."""
        known: dict[str, dict[str, str]] = {}
        for host in self.hosts:
            for name in host.names:
                known.setdefault(name, {}).update(host.variables | host.marks)
        return known


def parse(text: str, path: str = "") -> Inventory:
    """Read an inventory. Never raises: what is wrong in it is among the `findings`."""
    plain = text.splitlines()  # as Ansible splits it: form feeds and U+2028 end a line too
    ends = [full[len(line) :] for line, full in zip(plain, text.splitlines(keepends=True), strict=True)]
    hosts: list[Host] = []
    slots: dict[str, int] = {}
    groups: dict[str, dict[str, int]] = {"hosts": {"all": 0, "ungrouped": 0}, "vars": {}, "children": {}}
    below: dict[str, dict[str, int]] = {}  # group to its children to their lines
    found: list[Finding] = []
    group, state, place, fresh, misplaced = "ungrouped", "hosts", "", False, -1
    first, room = len(plain), RANGE_LIMIT

    def wrong(index: int, message: str) -> None:
        found.append(Finding(message, path, index + 1))

    if text.startswith("\ufeff"):
        wrong(0, "byte order mark at the start, which Ansible takes for a host; save as UTF-8 without it")
    for index, line in enumerate(plain):
        body = line.strip()
        if not body:
            fresh = False
        elif body.startswith(("<<<<<<<", ">>>>>>>")):
            wrong(index, "a merge conflict is not resolved here; keep one side")
        elif body[0] in "#;":
            if state == "hosts" and _MARKER.fullmatch(body):
                inside = group not in ("all", "ungrouped")
                place, fresh, misplaced = (place, fresh, index) if inside else (INDIVIDUAL, True, -1)
            if fresh and place:  # the remarks right below a heading belong to it
                slots[place] = index
        elif section := _SECTION.fullmatch(body):
            group, state = section[1], section[2] or "hosts"
            first, place, fresh = min(first, index), group if state == "hosts" else "", True
            misplaced = -1
            if state not in groups:
                wrong(index, f"[{group}:{state}] is no section: after the colon stands children or vars")
                continue
            groups[state].setdefault(group, index)
            if place:
                slots[place] = index
        elif body[0] == "[" and body[-1] == "]":
            wrong(index, f"{body} is no section: no spaces or other signs in its name")
        elif state == "children":
            if child := _CHILD.fullmatch(body):
                below.setdefault(group, {}).setdefault(child[1], index)
            else:
                wrong(index, f"expected a group's name below [{group}:children], got {body!r}")
        elif state == "vars":
            if "=" not in body:
                wrong(index, f"expected name=value below [{group}:vars], got {body!r}")
        else:
            try:
                host = _host(body, index, group, room)
            except ValueError as error:
                wrong(index, f"{body.split()[0]!r}: {error}")
                continue
            room -= len(host.names) if "[" in host.pattern else 0
            hosts.append(host)
            if place:
                slots[place], fresh = index, False
            if misplaced >= 0:
                wrong(misplaced, f"the hosts below are members of [{group}]; move them above all sections")
                misplaced = -1

    known = groups["hosts"] | groups["children"]
    for name, index in groups["vars"].items():
        if name not in known:
            wrong(index, f"[{name}:vars] is for a group that does not exist; add [{name}] or take it out")
    for parent, children in below.items():
        for child, index in children.items():
            if child not in known:
                wrong(index, f"[{parent}:children] names {child}, a group that does not exist; add [{child}]")
    found += _doubles(hosts, path) + _cycles(below, path)
    return Inventory(list(zip(plain, ends, strict=True)), hosts, slots, first, below, found)


def _host(body: str, index: int, group: str, room: int) -> Host:
    """A host line taken apart. Raises ValueError."""
    if '"' in body or "'" in body or "\\" in body:
        end = 0
        while token := TOKEN.match(body, end):
            end = token.end()
        comment, words = body[end:].strip(), shlex.split(body[:end])
        if comment and comment[0] != "#":
            raise ValueError("a quote is never closed")
    else:
        before, sign, after = body.partition("#")
        comment, words = sign + after, re.findall(r"[^ \t\r\n]+", before)
    if not words or not words[0]:
        raise ValueError("the line names no host")
    for word in words[1:]:
        if "=" not in word:
            raise ValueError(f"expected name=value after the host, got {word!r}")
    port = _PORT.fullmatch(words[0])
    pattern = port[1] if port else words[0]
    if "=" in pattern or " " in pattern or not pattern.isprintable():
        raise ValueError("no name of a host; a line starts with the host's name")
    if pattern == "---" or pattern.endswith(":"):
        raise ValueError("no name of a host; is this a YAML file?")
    names = tuple(_expanded(pattern, room)) if "[" in pattern else (pattern,)
    variables = {"ansible_port": port[2]} if port else {}
    variables |= dict(word.split("=", 1) for word in words[1:])
    return Host(index, group, words[0], names, variables, comment)


def _expanded(pattern: str, room: int) -> list[str]:
    """web[01:03] to web01, web02, web03. Raises ValueError."""
    match = _RANGE.fullmatch(pattern)
    if not match:
        raise ValueError("a range is written [first:last] or [first:last:step]")
    head, first, last, low, high, step, tail = match.groups()
    padded = bool(first) and len(first) > 1 and first[0] == "0"
    if padded and len(first) != len(last):
        raise ValueError("first and last of a range with leading zeros have equally many digits")
    if step and int(step) == 0:
        raise ValueError("the range's step is 0")
    bounds = (ord(low), ord(high)) if low else (int(first or 0), int(last))
    if bounds[1] < bounds[0]:
        raise ValueError("the range is empty")
    count = (bounds[1] - bounds[0]) // int(step or 1) + 1
    tails = _expanded(tail, room // count) if "[" in tail and count <= room else [tail]
    if count * len(tails) > room:
        raise ValueError(f"the ranges of this file name more than {RANGE_LIMIT} hosts")
    numbers = range(bounds[0], bounds[1] + 1, int(step or 1))
    texts = [chr(number) if low else str(number).zfill(len(first) if padded else 0) for number in numbers]
    return [head + text + rest for text in texts for rest in tails]


def _doubles(hosts: list[Host], path: str) -> list[Finding]:
    """Hosts that stand twice in a group, or have two addresses."""
    found: list[Finding] = []
    seen: dict[tuple[str, str], int] = {}
    definitions: dict[str, Host] = {}
    for host in hosts:
        for name in host.names:
            if (line := seen.setdefault((host.group, name), host.line)) != host.line:
                where = "" if host.group == "ungrouped" else f" in [{host.group}]"
                message = f"{name} stands twice{where}, first on line {line + 1}"
                found.append(Finding(message, path, host.line + 1))
            elif address := host.variables.get("ansible_host"):
                other = definitions.setdefault(name, host)
                if other.variables["ansible_host"] != address or (host.managed and other is not host):
                    message = (
                        f"{name} is at {address} here, but at {other.variables['ansible_host']} on line"
                        f" {other.line + 1}; keep one of the two lines"
                    )
                    found.append(Finding(message, path, host.line + 1))
    return found


def _cycles(below: dict[str, dict[str, int]], path: str) -> list[Finding]:
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
