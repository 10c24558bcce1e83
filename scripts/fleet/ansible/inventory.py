"""An Ansible INI inventory as lines, read as Ansible reads it.

A line with the comment `# terraform mac=… instance=…` is a managed one; every other is a person's.
Lines count from 1 in findings and from 0 inside.
"""

import re
from typing import NamedTuple

from fleet.ansible.groups import cycles, doubles, members, missing
from fleet.ansible.host import RANGE_LIMIT, Host, host_of
from fleet.findings import Finding

INDIVIDUAL = "# Individual hosts"

_SECTION = re.compile(r"\[([^:\]\s]+)(?::(\w+))?\]\s*(?:#.*)?")
_CHILD = re.compile(r"([^:\]\s]+)\s*(?:#.*)?")
_MARKER = re.compile(r"#\s*individual hosts\b.*", re.I)


class Inventory(NamedTuple):
    lines: list[tuple[str, str]]  # text and line ending
    hosts: list[Host]
    slots: dict[str, int]  # group, GROUP:children or INDIVIDUAL to the line after which a new one of it goes
    first_section: int
    children: dict[str, dict[str, int]]  # group to the groups in it, with their lines
    findings: list[Finding]  # what Ansible would refuse, or take otherwise than it is meant

    def managed(self) -> dict[str, Host]:
        return {host.names[0]: host for host in self.hosts if host.managed}

    def members(self) -> dict[str, set[str]]:
        """Every group to its hosts, those of its children among them."""
        return members(self.hosts, self.children)

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
    reader = _Reader(path, len(plain))
    if text.startswith("\ufeff"):
        reader.wrong(0, "starts with a byte order mark, which Ansible reads as a host; save it without")
    for index, line in enumerate(plain):
        reader.line(index, line.strip())
    reader.end()
    lines = list(zip(plain, ends, strict=True))
    return Inventory(lines, reader.hosts, reader.slots, reader.first, reader.below, reader.found)


class _Reader:
    """What was read so far, and the section that the next line belongs to."""

    def __init__(self, path: str, count: int):
        self.path = path
        self.hosts: list[Host] = []
        self.slots: dict[str, int] = {}
        self.first = count  # the line of the first section
        known = {"all": 0, "ungrouped": 0}
        self.sections: dict[str, dict[str, int]] = {"hosts": known, "vars": {}, "children": {}}
        self.below: dict[str, dict[str, int]] = {}  # group to its children to their lines
        self.found: list[Finding] = []
        self.room = RANGE_LIMIT
        self.group, self.state = "ungrouped", "hosts"
        self.place = ""  # the slot that a host on the next line would fill
        self.fresh = False  # right below a heading: remarks belong to it
        self.misplaced = -1  # the line of an `# Individual hosts` inside a section

    def wrong(self, index: int, message: str) -> None:
        self.found.append(Finding(message, self.path, index + 1))

    def line(self, index: int, body: str) -> None:
        if not body:
            self.fresh = False
        elif body[0] in "#;":
            self.remark(index, body)
        elif body.startswith(("<<<<<<<", ">>>>>>>")):
            self.wrong(index, "a merge conflict is not resolved here; keep one side")
        elif section := _SECTION.fullmatch(body):
            self.section(index, section[1], section[2] or "hosts")
        elif body[0] == "[" and body[-1] == "]":
            self.wrong(index, f"{body} is not a section: its name may not contain spaces or other signs")
        elif self.state == "children":
            self.child(index, body)
        elif self.state == "vars":
            self.variable(index, body)
        else:
            self.host(index, body)

    def remark(self, index: int, body: str) -> None:
        if self.state == "hosts" and _MARKER.fullmatch(body):
            if self.group in ("all", "ungrouped"):
                self.place, self.fresh, self.misplaced = INDIVIDUAL, True, -1
            else:
                self.misplaced = index
        if self.fresh and self.place:
            self.slots[self.place] = index

    def section(self, index: int, group: str, state: str) -> None:
        self.group, self.state = group, state
        self.first = min(self.first, index)
        places = {"hosts": group, "children": f"{group}:children"}
        self.place, self.fresh, self.misplaced = places.get(state, ""), True, -1
        if state not in self.sections:
            self.wrong(index, f"[{group}:{state}] is not a section: write :children or :vars")
            return
        self.sections[state].setdefault(group, index)
        if self.place:
            self.slots[self.place] = index

    def child(self, index: int, body: str) -> None:
        if child := _CHILD.fullmatch(body):
            self.below.setdefault(self.group, {}).setdefault(child[1], index)
            self.slots[self.place], self.fresh = index, False
        else:
            self.wrong(index, f"expected a group's name below [{self.group}:children], got {body!r}")

    def variable(self, index: int, body: str) -> None:
        if "=" not in body:
            self.wrong(index, f"expected name=value below [{self.group}:vars], got {body!r}")

    def host(self, index: int, body: str) -> None:
        try:
            found = host_of(body, index, self.group, self.room)
        except ValueError as error:
            self.wrong(index, f"{body.split()[0]!r}: {error}")
            return
        self.room -= len(found.names) if "[" in found.pattern else 0
        self.hosts.append(found)
        if self.place:
            self.slots[self.place], self.fresh = index, False
        if self.misplaced >= 0:
            message = f"the hosts below are members of [{self.group}]; move them above all sections"
            self.wrong(self.misplaced, message)
            self.misplaced = -1

    def end(self) -> None:
        known = self.sections["hosts"].keys() | self.sections["children"].keys()
        self.found += missing(known, self.sections["vars"], self.below, self.path)
        self.found += doubles(self.hosts, self.path) + cycles(self.below, self.path)
