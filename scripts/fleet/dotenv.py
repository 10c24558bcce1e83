"""`.env`: read as text and never run, so that a `$` in a value is a `$`. The environment wins over it.

A workflow of GitHub reads no `.env`: there only the repository's secrets and variables count.
"""

import difflib
import io
import os
import stat
from collections.abc import MutableMapping
from pathlib import Path
from typing import NamedTuple

from fleet.findings import Fault, Finding
from fleet.paths import ROOT, shown
from fleet.variables import ENVIRONMENT, NAMES

USER, PASSWORD, TOKEN = "PROXMOX_API_USER", "PROXMOX_API_PASSWORD", "PROXMOX_VE_API_TOKEN"
ALIASES = {other: name for name, variable in NAMES.items() for other in variable.others if " " not in other}
KNOWN = {*NAMES, *ALIASES, USER, PASSWORD}


class Entry(NamedTuple):
    """One value with the line that it begins on, counted from 1."""

    value: str
    line: int


def file() -> Path:
    """`.env` of this checkout, or the file that PROXMOX_GITOPS_ENV names."""
    return Path(os.environ.get("PROXMOX_GITOPS_ENV") or ROOT / ".env")


def read(path: Path | None = None) -> dict[str, Entry]:
    """The values by canonical name, empty ones left out; {} without a file. Raises Fault with all that is wrong."""
    path = path or file()
    try:
        text = path.read_text("utf-8-sig")
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError as error:
        raise Fault("is not UTF-8 text", shown(path)) from error
    entries, findings = parse(text)
    found, more = _canonical(entries)
    findings += more
    secrets = [name for name in found if NAMES[name].secret]
    if secrets and stat.S_IMODE(path.stat().st_mode) & 0o077:
        findings.append(Finding(f"others may read it, and it has {secrets[0]}: `chmod 600 {shown(path)}`"))
    if findings:
        told = [f"line {one.line}: {one.message}" if one.line else one.message for one in findings]
        raise Fault("; ".join(told), shown(path))
    return found


def parse(text: str) -> tuple[dict[str, Entry], list[Finding]]:
    """Every assignment of a text by name, and what is wrong with its lines. No value is ever told."""
    from dotenv.parser import parse_stream  # a script without .env does without the package

    entries: dict[str, Entry] = {}
    findings = []
    for binding in parse_stream(io.StringIO(text)):
        blank = len(binding.original.string) - len(binding.original.string.lstrip())
        line = binding.original.line + binding.original.string[:blank].count("\n")
        name = binding.key
        if binding.error or (name and binding.value is None):
            findings.append(Finding("is not of the form NAME=value", line=line))
        elif name is None:
            continue
        elif name not in KNOWN:
            near = difflib.get_close_matches(name, KNOWN, 1)
            hint = f"did you mean {near[0]}?" if near else "see .env.example"
            findings.append(Finding(f"{name} is unknown; {hint}", line=line))
        elif name in entries:
            findings.append(Finding(f"{name} stands on line {entries[name].line} too; remove one", line=line))
        else:
            entries[name] = Entry(binding.value.strip(), line)
    return entries, findings


def load(environ: MutableMapping[str, str] | None = None) -> None:
    """Put what `.env` says of services into the environment, where that does not say it. Raises Fault."""
    environ = os.environ if environ is None else environ
    given, _ = _canonical({name: Entry(environ[name], 0) for name in KNOWN & environ.keys()})
    values = {} if environ.get("GITHUB_ACTIONS") == "true" else read()
    for name, entry in {**values, **given}.items():
        if NAMES[name].group in ENVIRONMENT:
            environ[name] = entry.value


def _canonical(entries: dict[str, Entry]) -> tuple[dict[str, Entry], list[Finding]]:
    """The values by the names of the table; a value under two names is wrong unless it is the same."""
    found = {name: entry for name, entry in entries.items() if name in NAMES and entry.value}
    findings = []
    others = [(ALIASES[name], name, entry) for name, entry in entries.items() if name in ALIASES]
    user, password = (entries.get(name, Entry("", 0)) for name in (USER, PASSWORD))
    if user.value and password.value:
        others.append((TOKEN, USER, Entry(f"{user.value}={password.value}", user.line)))
    elif user.value or password.value:
        has, lacks = (USER, PASSWORD) if user.value else (PASSWORD, USER)
        findings.append(Finding(f"{has} needs {lacks}, or set {TOKEN}", line=max(user.line, password.line)))
    for name, other, entry in others:
        if entry.value and found.get(name, entry).value != entry.value:
            findings.append(Finding(f"{other} and {name} say different things; remove one", line=entry.line))
        elif entry.value:
            found.setdefault(name, entry)
    return found, findings
