"""One line of the doctor's answer, and one question that gives such lines."""

import os
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from fleet.settings import SETTINGS
from fleet.variables import VARIABLES

COMPUTER, PROXMOX, STATE, VAULT, GITHUB = "This computer", "Proxmox", "Terraform's state", "Vault", "GitHub"
GROUPS = (COMPUTER, PROXMOX, STATE, VAULT, GITHUB)
OK, WARNING, RED, SKIPPED = "ok", "warning", "red", "skipped"


class Line(NamedTuple):
    """`found` of a skipped line is the reason; `mend` is a command, or what to do where no command does it."""

    name: str
    found: str
    wanted: str = ""
    mend: str = ""
    state: str = OK
    group: str = ""


class Check(NamedTuple):
    """`needs`: what must be well in the same group, or the question is not asked; `after`: what must have ended."""

    group: str
    name: str
    ask: Callable[[], Line | Sequence[Line]]
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        return f"{self.group}/{self.name}"


def red(name: str, found: str, wanted: str, mend: str) -> Line:
    return Line(name, found, wanted, mend, RED)


def warning(name: str, found: str, wanted: str, mend: str) -> Line:
    return Line(name, found, wanted, mend, WARNING)


def skipped(name: str, reason: str) -> Line:
    return Line(name, reason, state=SKIPPED)


def worst(lines: Iterable[Line]) -> int:
    """The exit code: 1 with a red line."""
    return int(any(line.state == RED for line in lines))


def counts(lines: Sequence[Line]) -> str:
    """How many lines are what."""
    numbers = {state: sum(line.state == state for line in lines) for state in (RED, WARNING, OK, SKIPPED)}
    many = "warnings" if numbers[WARNING] > 1 else "warning"
    names = {RED: "red", WARNING: many, OK: "well", SKIPPED: "skipped"}
    return ", ".join(f"{number} {names[state]}" for state, number in numbers.items() if number)


def without_secrets(lines: Iterable[Line]) -> list[Line]:
    """The same lines, should a library's message have had a secret of the environment in it."""
    secrets = sorted(_secrets(), key=len, reverse=True)

    def hidden(text: str) -> str:
        for secret in secrets:
            text = text.replace(secret, "…")
        return text

    return [Line(*map(hidden, line)) for line in lines]


def _secrets() -> set[str]:
    """Every secret value of the environment, and the part of it that is secret by itself."""
    names = {one.name for one in (*VARIABLES, *SETTINGS) if one.secret} - {
        "PROXMOX_VE_ENDPOINT",
        "VAULT_ADDR",
    }
    found = set()
    for value in filter(None, (os.environ.get(name, "").strip() for name in names)):
        found |= {value, value.rpartition("=")[2], *value.splitlines()}
        if "://" in value:
            password = urlsplit(value).password or ""
            found |= {password, unquote(password)}
    return {value for value in found if len(value) >= 6}
