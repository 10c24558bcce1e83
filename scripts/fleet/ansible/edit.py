"""Changing an Ansible inventory: managed lines are added, brought up to date, taken out; all else stays."""

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from fleet.ansible.compare import TERRAFORMS
from fleet.ansible.groups import without_parent
from fleet.ansible.host import MARK, OLDER, TOKEN, Host
from fleet.ansible.inventory import INDIVIDUAL, Inventory, parse
from fleet.names import GROUPS, PARENTS, group_of
from fleet.terraform.outputs import Machine


def change(
    inventory: Inventory,
    put: Mapping[str, Machine],
    drop: Iterable[str] = (),
    adopted: Mapping[str, Host] = MappingProxyType({}),
) -> str:
    """The inventory's text with the machines of `put` added or brought up to date and those of `drop` gone.

    A machine gets a managed line under `# Individual hosts` and its name in the group that its name decides. Its
    line in the group above that one, where older inventories have it, moves there. When a machine is dropped, its
    lines go from every group: without an address Ansible would look its name up. `adopted`: lines by hand that
    become the managed lines of their machines.
    """
    lines: list[list[str] | None] = [list(line) for line in inventory.lines]
    managed, members = inventory.managed() | adopted, inventory.members()
    leaving = managed.keys() & set(drop)
    for host in inventory.hosts:
        if len(host.names) == 1 and host.names[0] in leaving:
            lines[host.line] = None
    new: dict[str, list[str]] = {INDIVIDUAL: []}
    own = {(host.group, host.names): host.line for host in inventory.hosts}
    for name, machine in sorted(put.items()):
        if host := managed.get(name):
            lines[host.line][0] = _updated(inventory.lines[host.line][0], host, machine)
        else:
            variables = " ".join(f"{key}={value}" for key, value in machine.variables().items())
            new[INDIVIDUAL].append(f"{name} {variables}  {machine.mark()}")
        group = group_of(name)
        if group and name not in members.get(group, ()):
            above = own.get((PARENTS.get(group, ""), (name,)))
            new.setdefault(group, []).append(name if above is None else lines[above][0])
            if above is not None:
                lines[above] = None
    for group in without_parent(inventory.children, put):
        new.setdefault(f"{PARENTS[group]}:children", []).append(group)
    return _joined(inventory, lines, new)


def renamed(text: str, names: Mapping[str, str]) -> str:
    """An inventory with new names for old ones, in every group. `names`: new to old; ranges stay as they are."""
    inventory, new = parse(text), {old: name for name, old in names.items()}
    lines = [list(line) for line in inventory.lines]
    for host in inventory.hosts if new else ():
        if len(host.names) == 1 and (name := new.get(host.names[0])):
            lines[host.line][0] = lines[host.line][0].replace(host.names[0], name, 1)
    return "".join(line + end for line, end in lines) if new else text


def _updated(line: str, host: Host, machine: Machine) -> str:
    """A managed line with Terraform's values; a person's variables, spacing and remarks stay.

    A line by hand becomes a managed one: it gets the mark, and its older names of variables become today's.
    """
    body, end, tokens = line.rstrip(), 0, []
    while token := TOKEN.match(body, end):
        tokens.append(token[0])
        end = token.end()
    wanted = machine.variables()
    words, written = [tokens[0]], set()
    for token in tokens[1:]:
        given = token.strip().partition("=")[0]
        key = given if host.managed else OLDER.get(given, given)
        if key in TERRAFORMS and key in written and not host.managed:
            continue
        written.add(key)
        right = host.managed and host.variables[given] == wanted.get(key)
        if key not in TERRAFORMS or right or token.strip() == f"{key}={wanted.get(key)}":
            words.append(token)
        elif key in wanted:
            words.append(token[: len(token) - len(token.lstrip())] + f"{key}={wanted[key]}")
    words += [f" {key}={value}" for key, value in wanted.items() if key not in written]
    mark, marks = body[end:], host.marks
    if not host.managed:
        return "".join(words) + f"  {machine.mark()} {mark.lstrip()}".rstrip() + line[len(body) :]
    for key, value in (("instance", machine.instance), ("mac", machine.mac)):
        if value and key in marks:
            mark = re.sub(rf"\b{key}=\S+", f"{key}={value}", mark, count=1)
        elif value:
            mark = MARK.sub(f"# terraform {key}={value}", mark, count=1)
    return "".join(words) + mark + line[len(body) :]


def _joined(inventory: Inventory, lines: list[list[str] | None], new: dict[str, list[str]]) -> str:
    """The text of `lines` (None: taken out) with the new lines of each group in their places."""
    eol = next((end for _, end in inventory.lines if end in ("\n", "\r\n")), "\n")
    after: dict[int, list[str]] = {}
    end: list[str] = []
    order = [INDIVIDUAL, *GROUPS, *(f"{group}:children" for group in GROUPS)]
    for group in sorted(new, key=order.index):
        if group in inventory.slots:
            after[inventory.slots[group]] = new[group]
        elif group == INDIVIDUAL and new[group]:
            index = _top(inventory)
            blank = [""] if index + 1 < len(lines) and inventory.lines[index + 1][0].strip() else []
            after[index] = [""] * (index >= 0) + [INDIVIDUAL, *new[group]] + blank
        elif new[group]:
            end += ["", f"[{group}]", *new[group]]
    out = [[text, eol] for text in after.get(-1, ())]
    for index, line in enumerate(lines):
        out += [line] if line else []
        out += [[text, eol] for text in after.get(index, ())]
    if end and (not out or not out[-1][0].strip()):
        del end[0]
    out += [[text, eol] for text in end]
    for line in out[:-1]:
        line[1] = line[1] or eol
    if out and lines and out[-1][0] and not inventory.lines[-1][1]:
        out[-1][1] = ""  # the file ended without a newline and still does
    return "".join(text + ending for text, ending in out)


def _top(inventory: Inventory) -> int:
    """The line after which hosts of no group go: before the first section and the remarks right above it."""
    index = inventory.first_section - 1
    if inventory.first_section < len(inventory.lines):
        while index >= 0 and inventory.lines[index][0].lstrip()[:1] in ("#", ";"):
            index -= 1
    while index >= 0 and not inventory.lines[index][0].strip():
        index -= 1
    return index
