"""One line of the doctor's answer, and one question that gives such lines."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

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
