"""One host line of an inventory: the host or range, its variables, and the comment that marks it."""

import re
import shlex
from collections.abc import Mapping
from typing import NamedTuple

RANGE_LIMIT = 100_000  # hosts that one file may name through ranges
MARK = re.compile(r"#\s*terraform\b")
# A word of a host line with the space before it.
TOKEN = re.compile(r"""[ \t]*(?:[^\s"'#\\]|\\.|"(?:\\.|[^"\\])*"|'[^']*')+""")

_PORT = re.compile(r"((?:[^:\[\]]|\[[^\]]*\])*):(\d+)")
_RANGE = re.compile(r"([^\[\]]*)\[(?:(\d*):(\d+)|([a-zA-Z]):([a-zA-Z]))(?::(\d+))?\](.*)")


# Ansible's older names: its ssh connection prefers them to today's, on whatever level each of the two is set.
OLDER = {
    "ansible_ssh_host": "ansible_host",
    "ansible_ssh_user": "ansible_user",
    "ansible_ssh_port": "ansible_port",
}


def used(variables: Mapping[str, str]) -> dict[str, str]:
    """A host's variables, those with older names under today's: what Ansible's ssh connection takes."""
    return dict(variables) | {name: variables[older] for older, name in OLDER.items() if older in variables}


def addresses_of(known: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Every host to its address by its variables; to its name where they give none."""
    return {name: used(variables).get("ansible_host", name) for name, variables in known.items()}


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
        return self.managed or self.group in ("all", "ungrouped") or self.address is not None

    @property
    def address(self) -> str | None:
        """The address that the line gives."""
        return used(self.variables).get("ansible_host")

    @property
    def marks(self) -> dict[str, str]:
        """A managed line's mac and instance."""
        pairs = re.findall(r"\b(mac|instance)=(\S+)", self.comment) if self.managed else []
        return dict(reversed(pairs))  # the first of each counts: a remark may follow the mark


def host_of(body: str, index: int, group: str, room: int) -> Host:
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
        raise ValueError("not a host name; each line starts with the host's name")
    if pattern == "---" or pattern.endswith(":"):
        raise ValueError("not a host name; is this a YAML file?")
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
