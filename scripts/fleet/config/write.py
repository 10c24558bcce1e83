"""Change one value of an existing `.env`: every other byte stays, and only its owner may read it afterwards."""

import re
from pathlib import Path

from fleet import dotenv
from fleet.files import write_text
from fleet.findings import Fault
from fleet.paths import shown
from fleet.variables import NAMES

# What stands before the name, the equals sign, and what follows it, in a line that the reader understands
_LINE = re.compile(r"(\s*(?:export\s+)?)'?[^=\s']+'?(\s*=)(.*)")
_QUOTED = re.compile(r"\s*(?:'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\")")
_COMMENT = re.compile(r"\s+#.*|\s*$")
_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./!-]*")  # needs no quotes, for a shell neither


def set_value(path: Path, name: str, value: str) -> bool:
    """Whether the text was changed. What `.env` calls by an older name becomes a line of `name`. Raises Fault."""
    if value != value.strip() or not value.isprintable():
        wrong = "begins or ends with a space, or has a line break or another character that cannot be seen"
        raise Fault(f"the value for {name} {wrong}", shown(path))
    if not path.exists() and not path.is_symlink():
        raise Fault("does not exist; `cp .env.example .env` makes one", shown(path), code=2)
    text = dotenv.text_of(path)
    entries, findings = dotenv.parse(text)
    if findings:
        raise Fault(findings[0].message, shown(path), findings[0].line)
    new = _with(text, sorted(entries[one].line for one in _names(name) if one in entries), name, value)
    entries, findings = dotenv.parse(new)
    assert not findings and entries[name].value == value, f"line {entries[name].line} would be misread"
    try:
        mark = "\ufeff" if path.read_bytes().startswith(b"\xef\xbb\xbf") else ""
        path.chmod(0o600)  # before there is a secret in it; the new file gets the mode of the old one
    except OSError as error:
        raise Fault(f"cannot be made private: {error.strerror}", shown(path), code=2) from None
    return write_text(path, mark + new)


def _names(name: str) -> set[str]:
    """All names that the value may have."""
    pair = {dotenv.USER, dotenv.PASSWORD} if name == dotenv.TOKEN else set()
    return {name, *(other for other in NAMES[name].others if other in dotenv.ALIASES), *pair}


def _with(text: str, numbers: list[int], name: str, value: str) -> str:
    """The text with the value on the first of the lines that have it, without the others, or on a new line."""
    parts = dotenv.LINE_END.split(text)
    lines, ends = parts[::2], [*parts[1::2], ""]
    if not numbers:
        end = ends[0] or "\n"
        if lines[-1]:  # the last line has no end
            ends[-1] = end
            lines.append("")
            ends.append("")
        lines[-1], ends[-1] = f"{name}={quoted(value)}", end
    else:
        line = numbers[0] - 1
        before, equals, rest = _LINE.fullmatch(lines[line]).groups()
        old = _QUOTED.match(rest)
        comment = rest[old.end() :] if old else _COMMENT.search(rest)[0]
        space = " " if comment.startswith("#") else ""
        lines[line] = f"{before}{name}{equals}{quoted(value)}{space}{comment}"
    gone = {number - 1 for number in numbers[1:]}
    return "".join(
        line + end for place, (line, end) in enumerate(zip(lines, ends, strict=True)) if place not in gone
    )


def quoted(value: str) -> str:
    """A value as the reader gives it back."""
    if _PLAIN.fullmatch(value):
        return value
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
