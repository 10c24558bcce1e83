"""Ask everything at once: one fault makes one line red, and a service that hangs stops nobody for long."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, TimeoutError
from typing import TypeVar

from fleet.doctor.line import (
    COMPUTER,
    GITHUB,
    PROXMOX,
    RED,
    SKIPPED,
    STATE,
    VAULT,
    Check,
    Line,
    red,
    skipped,
    without_secrets,
)
from fleet.findings import Fault, printable

PATIENCE = 12.0  # seconds for all questions together
UNASKED = "not asked: see"  # and the line that is the reason
AT_ONCE = 8  # small questions of one check

Item, Answer = TypeVar("Item"), TypeVar("Answer")

# What to look at where a question fails in a way that nobody foresaw.
_LOOK = {
    COMPUTER: "run it again; `scripts/setup_venv.sh` installs the packages anew",
    PROXMOX: "on the node: `systemctl status pveproxy pvedaemon pvestatd`, and `pvesm status` for a storage that hangs",
    STATE: "on the database's host: `systemctl status postgresql`",
    VAULT: "`vault status`",
    GITHUB: "look at https://www.githubstatus.com, then run it again",
}


def run(
    checks: Sequence[Check], patience: float = PATIENCE, tell: Callable[[int], None] = lambda done: None
) -> list[Line]:
    """The lines of all checks, in their order; `tell` hears how many have been answered."""
    until = time.monotonic() + patience
    answers: dict[str, Future[list[Line]]] = {check.key: Future() for check in checks}
    for future in answers.values():
        future.add_done_callback(lambda _: tell(sum(one.done() for one in answers.values())))
    for check in checks:
        # Not an executor's threads: Python waits for those at its end, even for one that hangs.
        threading.Thread(target=_answer, args=(check, answers), daemon=True).start()
    lines = [line for check in checks for line in _lines(check, answers, until, patience)]
    return without_secrets(lines)


def each(ask: Callable[[Item], Answer], items: Iterable[Item]) -> list[Answer]:
    """`ask` for every item, some at once, in the items' order; the first exception is raised."""
    return [answer.result() for answer in begun(ask, items)]


def within(seconds: float, ask: Callable[[Item], Answer], items: Iterable[Item]) -> dict[Item, Answer | None]:
    """The same by item, with None for each that is not answered in time."""
    until, items = time.monotonic() + seconds, list(items)
    found: dict[Item, Answer | None] = {}
    for item, answer in zip(items, begun(ask, items), strict=True):
        try:
            found[item] = answer.result(max(0.0, until - time.monotonic()))
        except TimeoutError:
            found[item] = None
    return found


def begun(ask: Callable[[Item], Answer], items: Iterable[Item]) -> list[Future[Answer]]:
    items = list(items)
    answers: list[Future[Answer]] = [Future() for _ in items]
    left = iter(range(len(items)))
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                number = next(left, None)
            if number is None:
                return
            try:
                answers[number].set_result(ask(items[number]))
            except Exception as error:  # raised where it is asked for
                answers[number].set_exception(error)

    for _ in range(min(AT_ONCE, len(items))):
        threading.Thread(target=work, daemon=True).start()
    return answers


def _answer(check: Check, answers: dict[str, Future[list[Line]]]) -> None:
    for key in check.after:
        answers[key].result()
    for name in check.needs:
        for line in answers[f"{check.group}/{name}"].result():
            if line.state in (RED, SKIPPED):
                root = line.found if line.found.startswith(UNASKED) else f"{UNASKED} {name}"
                answers[check.key].set_result([skipped(check.name, root)])
                return
    answers[check.key].set_result(_asked(check))


def _asked(check: Check) -> list[Line]:
    lines: list[Line] = []
    try:
        answer = check.ask()
        for line in [answer] if isinstance(answer, Line) else answer:  # one by one: a later one may fail
            lines.append(line)
    except Fault as fault:
        lines.append(red(check.name, str(fault), "an answer", _LOOK[check.group]))
    except ModuleNotFoundError as error:
        lines.append(skipped(check.name, f"not asked: the Python package {error.name} is missing"))
    except Exception as error:  # nothing that one check stumbles over may hide what the others found
        said = printable(f"{type(error).__name__}: {error}")[:200]
        lines.append(red(check.name, said, "an answer", _LOOK[check.group]))
    return lines


def _lines(
    check: Check, answers: dict[str, Future[list[Line]]], until: float, patience: float
) -> Iterator[Line]:
    try:
        found = answers[check.key].result(max(0.0, until - time.monotonic()))
    except TimeoutError:
        waits = [key for key in (*check.after, *(f"{check.group}/{name}" for name in check.needs))
                 if not answers[key].done()]  # fmt: skip
        found = [
            skipped(check.name, f"not asked: {waits[0].rpartition('/')[2]} gave no answer")
            if waits
            else red(check.name, f"no answer within {patience:.0f} s", "an answer", _LOOK[check.group])
        ]
    yield from (line._replace(group=check.group) for line in found)
