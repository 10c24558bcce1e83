"""The queue of machines that wait for a play: `IP,hostname[,playbook]` lines, comments between them kept.

A host may be listed several times with different playbooks; without one it waits until a tag asks.
"""

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from fleet.findings import Finding

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")  # a playbook
HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")


class Entry(NamedTuple):
    address: str
    host: str
    playbook: str | None = None

    def text(self) -> str:
        return ",".join(part for part in self if part)


def parse(text: str, path: str = "") -> tuple[list[tuple[int, Entry]], list[Finding]]:
    """The queue's entries with their lines, and a finding for each line that is none. Never raises."""
    entries, found = [], []
    for number, line in enumerate(text.splitlines(), start=1):
        entry, problem = _entry(line)
        if entry:
            entries.append((number, entry))
        elif problem:
            found.append(Finding(problem, path, number))
    return entries, found


def edit(text: str, change: Callable[[Entry], Entry | None], add: Iterable[Entry] = ()) -> str:
    """The queue with every entry replaced by what `change` says (None: gone) and those of `add` at its end.

    Of entries for the same host and playbook the first stays. Lines that do not change stay byte for byte.
    """
    out: list[list[str]] = []
    seen: set[tuple[str, str | None]] = set()
    plain, full = text.splitlines(), text.splitlines(keepends=True)
    eol = "\r\n" if text.find("\r\n") >= 0 else "\n"
    for line, whole in zip(plain, full, strict=True):
        entry, _ = _entry(line)
        new = change(entry) if entry else None
        if entry and (not new or (new.host, new.playbook) in seen):
            continue
        if new:
            seen.add((new.host, new.playbook))
        out.append([line if new == entry else new.text(), whole[len(line) :]])
    for entry in add:
        if (entry.host, entry.playbook) not in seen:
            seen.add((entry.host, entry.playbook))
            out.append([entry.text(), eol])
    for line in out[:-1]:
        line[1] = line[1] or eol
    return "".join(line + end for line, end in out)


def renamed(text: str, names: Mapping[str, str]) -> str:
    """The queue with new names for old ones. `names`: new to old. An address may be a name, too."""
    new = {old: name for name, old in names.items()}

    def follow(entry: Entry) -> Entry:
        host, address = (new.get(one, one) for one in (entry.host, entry.address))
        return entry._replace(host=host, address=address)

    return edit(text, follow) if new else text


def remove(text: str, done: Iterable[Entry]) -> str:
    """The queue without these entries, by content: what others added or changed meanwhile stays."""
    gone = set(done)
    return edit(text, lambda entry: None if entry in gone else entry)


def _entry(line: str) -> tuple[Entry | None, str]:
    body = line.strip().removeprefix("\ufeff")  # as an editor may leave it at the file's start
    if not body or body[0] == "#":
        return None, ""
    fields = [field.strip() for field in body.split(",")]
    if len(fields) not in (2, 3) or fields[1:2] == [""]:
        return None, f"expected IP,hostname or IP,hostname,playbook, got {body!r}"
    address, host, playbook = [*fields, ""][:3]
    try:
        ipaddress.ip_address(address)
    except ValueError:
        if not HOST.fullmatch(address):
            return None, f"{address!r} is not an address"
    if not HOST.fullmatch(host):
        return None, f"{host!r} is not a host name"
    if playbook and not NAME.fullmatch(playbook):
        return None, f"{playbook!r} is not a playbook's name: use letters, digits, - and _"
    return Entry(address, host, playbook or None), ""
