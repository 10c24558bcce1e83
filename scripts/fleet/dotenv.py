"""`.env`: read as text and never run, so that a `$` in a value is a `$`. The environment wins over it.

A workflow of GitHub reads no `.env`: there only the repository's secrets and variables count.

python-dotenv's parser gets one line at a time. In a whole file it takes a quote that is never closed for one that ends
lines later, and swallows what stands between; and after a line with an error it counts each CRLF twice. A value has no
line break here, so nothing is lost. python-dotenv before 1.2.4 misreads a quoted value that ends with a backslash, and
takes the comment in `NAME= # comment` for the value.

No value is ever told, nor a name that may be a part of one: a secret that was pasted with a line break has an `=` too.
More than 150 lines because the names of older guides, and what each line may do wrong, are told apart here.
"""

import difflib
import io
import os
import re
import stat
from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import NamedTuple

from fleet.findings import Fault, Finding
from fleet.paths import ROOT, shown
from fleet.variables import ENVIRONMENT, NAMES

USER, PASSWORD, TOKEN = "PROXMOX_API_USER", "PROXMOX_API_PASSWORD", "PROXMOX_VE_API_TOKEN"
ALIASES = {other: name for name, variable in NAMES.items() for other in variable.others if " " not in other}
KNOWN = {*NAMES, *ALIASES, USER, PASSWORD}
LINE_END = re.compile(r"(\r\n|\n|\r)")
_NAME = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+")  # that can be told
_QUOTED = re.compile(r"[^=]*=\s*['\"]")


class Entry(NamedTuple):
    """One value with its line, counted from 1; 0 in the environment."""

    value: str
    line: int

    @property
    def place(self) -> str:
        return f"line {self.line}" if self.line else "the environment"


def file() -> Path:
    """`.env` of this checkout, or the file that PROXMOX_GITOPS_ENV names."""
    return Path(os.environ.get("PROXMOX_GITOPS_ENV") or ROOT / ".env")


def read(path: Path | None = None) -> dict[str, Entry]:
    """The values by canonical name, empty ones left out; {} without a file. Raises Fault with all that is wrong."""
    path = path or file()
    found, findings = examine(path)
    if findings:
        told = [f"line {one.line}: {one.message}" if one.line else one.message for one in findings]
        raise Fault("; ".join(told), shown(path))
    return found


def examine(path: Path) -> tuple[dict[str, Entry], list[Finding]]:
    """The values, and all that is wrong with its place. Raises Fault where there is no text to be read."""
    entries, findings = parse(text_of(path))
    found, more = _canonical(entries)
    secrets = [name for name in found if NAMES[name].secret]
    if secrets and stat.S_IMODE(path.stat().st_mode) & 0o077:
        more.append(Finding(f"others may read it, and it has {secrets[0]}: `chmod 600 {shown(path)}`"))
    return found, [finding._replace(path=shown(path)) for finding in findings + more]


def text_of(path: Path) -> str:
    """The text with its line ends and without a byte order mark; "" without a file. Raises Fault."""
    try:
        raw = path.read_bytes()
        return raw.decode("utf-8-sig")
    except FileNotFoundError:
        if path.is_symlink():
            message = f"is a link to {path.readlink()}, which does not exist"
            raise Fault(message, shown(path), code=2) from None
        return ""
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise Fault("is not valid UTF-8; save the file as UTF-8", shown(path), line) from None
    except OSError as error:
        raise Fault(f"cannot be read: {error.strerror}", shown(path), code=2) from None


def parse(text: str) -> tuple[dict[str, Entry], list[Finding]]:
    """Every assignment of a text by name, and what is wrong with its lines."""
    entries: dict[str, Entry] = {}
    findings = []
    for number, line in enumerate(LINE_END.split(text)[::2], 1):
        name, value, problem = _assignment(line)
        if not problem and name in entries:
            problem = f"{name} is set on line {entries[name].line} too; remove one of them"
        if problem:
            findings.append(Finding(problem, line=number))
        elif name:
            entries[name] = Entry(value, number)
    return entries, findings


def _assignment(line: str) -> tuple[str, str, str]:
    """(name, value, what is wrong) of one line; no name for a comment."""
    from dotenv.parser import parse_stream  # a script without .env does without the package

    for binding in parse_stream(io.StringIO(line, newline="")):
        name, value = binding.key or "", (binding.value or "").strip()
        if binding.error and _QUOTED.match(line):
            return (
                "",
                "",
                "the quote is not closed, or text follows it; put a backslash before a quote inside",
            )
        if binding.error or (name and binding.value is None):
            return "", "", "is not of the form NAME=value"
        if name and name not in KNOWN:
            near = difflib.get_close_matches(name.upper(), KNOWN, 1)
            hint = f"did you mean {near[0]}?" if near else "see .env.example"
            shown_name = name if _NAME.fullmatch(name) else "the name before ="
            return "", "", f"{shown_name} is unknown; {hint}"
        if not value.isprintable():
            return (
                "",
                "",
                f"the value of {name} has a line break or a character that cannot be seen; remove it",
            )
        return name, value, ""
    return "", "", ""


def load(environ: MutableMapping[str, str] | None = None) -> None:
    """Put what `.env` says of services into the environment, where that does not say it. Raises Fault."""
    environ = os.environ if environ is None else environ
    values = {} if environ.get("GITHUB_ACTIONS") == "true" else read()
    given, findings = _canonical({name: Entry(environ[name].strip(), 0) for name in KNOWN & environ.keys()})
    if findings:
        raise Fault(f"the environment: {'; '.join(finding.message for finding in findings)}")
    for name, entry in {**values, **given}.items():
        if NAMES[name].group in ENVIRONMENT:
            environ[name] = entry.value


def _canonical(entries: Mapping[str, Entry]) -> tuple[dict[str, Entry], list[Finding]]:
    """The values by the names of the table; a value under two names is wrong unless it is the same."""
    found = {name: entry for name, entry in entries.items() if name in NAMES and entry.value}
    findings: list[Finding] = []
    for name, other, entry in _others(entries, findings):
        if entry.value and found.get(name, entry).value != entry.value:
            both = f"{other} and {name} ({found[name].place}) have different values; remove one of them"
            findings.append(Finding(both, line=entry.line))
        elif entry.value:
            found.setdefault(name, entry)
    return found, findings


def _others(entries: Mapping[str, Entry], findings: list[Finding]) -> Iterator[tuple[str, str, Entry]]:
    """(name in the table, other name, value) of what has a name of an older guide."""
    yield from ((ALIASES[name], name, entry) for name, entry in entries.items() if name in ALIASES)
    user, password = (entries.get(name, Entry("", 0)) for name in (USER, PASSWORD))
    line = max(user.line, password.line)
    if bool(user.value) != bool(password.value):
        has, lacks = (USER, PASSWORD) if user.value else (PASSWORD, USER)
        findings.append(Finding(f"{has} needs {lacks}; or set {TOKEN} instead of both", line=line))
    elif user.value and "!" not in user.value:
        way_out = f"remove it and {PASSWORD}, and run `make fix-token`, which makes a token"
        findings.append(
            Finding(f"{USER} is a user and not a token, USER@REALM!ID; {way_out}", line=user.line)
        )
    elif user.value:
        yield TOKEN, USER, Entry(f"{user.value}={password.value}", user.line)
