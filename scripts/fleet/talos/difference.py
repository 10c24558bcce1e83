"""What a dry run of `talosctl apply-config` says would change, told without the values, which may be secrets."""

import re

from fleet.findings import printable

UNCHANGED = "No changes."
MOST = 40  # lines of a difference that are told

# Values that cannot be a secret: switches, small numbers, and images by their names.
_HARMLESS = re.compile(r"true|false|\d{1,5}|[a-z0-9.-]+(/[a-z0-9._-]+)+:v?\d[\w.+-]*")
_LINE = re.compile(r"([+-])(\s*(?:- )?)(?:([A-Za-z0-9_./-]+):(?: (.*))?|(.*))")


def is_unchanged(said: str) -> bool:
    return any(line.strip() == UNCHANGED for line in said.splitlines())


def restarts(said: str) -> bool:
    """Whether the machine would start again for it."""
    return "with a reboot" in said


def lines(said: str) -> list[str]:
    """The lines that come and go, each with its key and, where it cannot be a secret, its value."""
    found = []
    for line in said.splitlines():
        parts = _LINE.fullmatch(line)
        if not parts or line.startswith(("+++", "---")):
            continue
        sign, indent, key, value, other = parts.groups()
        text = (value if key else other) or ""
        shown = text if _HARMLESS.fullmatch(text) else "…" if text.strip() else ""
        found.append(printable(f"{sign}{indent}{key}: {shown}" if key else f"{sign} {shown}"))
    more = len(found) - MOST
    return [*found[:MOST], f"and {more} lines more"] if more > 0 else found


def renamed(said: str) -> str:
    """The host name that the machine has and would lose; "" where it keeps it."""
    gone = re.findall(r"^-\s*hostname: (\S+)", said, re.MULTILINE)
    come = re.findall(r"^\+\s*hostname: (\S+)", said, re.MULTILINE)
    return printable(gone[0]) if gone and gone != come else ""


def changes_role(said: str) -> bool:
    """Whether a control plane would become a worker, or the other way round."""
    return bool(re.search(r"^[+-]\s*type: (controlplane|worker)", said, re.MULTILINE))
