"""`make bench`: what the scripts cost, beside what one would use instead of them.

Each module measures one group of rows. Whole processes, both sides in turns, medians; no goal is an absolute
time.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "scripts"
sys.path.insert(0, str(SCRIPTS))  # for the helpers of the tests
# Python's own settings left out: one of them would have it compile the scripts anew in each run.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


class Row(NamedTuple):
    """One line of the table. `ours` and `other` in seconds; goal: the ratio that is aimed at, or None."""

    what: str
    size: str
    ours: float
    other: float
    goal: float | None = None
    growth: str = ""  # how many times as long as the row before, for how many times as much

    def cells(self) -> list[str]:
        ratio = self.ours / self.other
        goal = f"≤ {self.goal:.2f}, {'met' if ratio <= self.goal else '**missed**'}" if self.goal else ""
        return [
            self.what,
            self.size,
            f"{self.ours:.3f}",
            f"{self.other:.3f}",
            f"{ratio:.2f}",
            goal,
            self.growth,
        ]


class Command(NamedTuple):
    """A process to measure, and what makes its input fresh before each run."""

    argv: list
    cwd: Path
    fresh: Callable[[], object] = bool
    env: dict[str, str] | None = None

    def seconds(self) -> float:
        self.fresh()
        begin = time.perf_counter()
        done = subprocess.run(
            self.argv, cwd=self.cwd, env=ENVIRONMENT | (self.env or {}), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        took = time.perf_counter() - begin
        if done.returncode:
            said = done.stderr.decode()[-2000:]
            raise SystemExit(f"bench: exit {done.returncode} of {self.argv[:4]}: {said}")
        return took


def medians(runs: int, *commands: Command) -> list[float]:
    """The median of each command's seconds: all commands in turns, once unmeasured and then `runs` times."""
    taken = [[command.seconds() for command in commands] for _ in range(runs + 1)][1:]
    return [statistics.median(column) for column in zip(*taken, strict=True)]


def script(name: str, *arguments: object) -> list[str]:
    return [sys.executable, str(SCRIPTS / f"{name}.py"), *map(str, arguments)]


def patched(name: str, patch: str, *arguments: object) -> list[str]:
    """A script as a process of its own in which `patch` has replaced a part that is counted apart."""
    program = (
        f"import sys; sys.path.insert(0, {str(SCRIPTS)!r})\n{patch}\nimport {name}\nsys.exit({name}.main())"
    )
    return [sys.executable, "-c", program, *map(str, arguments)]


def grown(rows: list[Row], sizes: list[int]) -> list[Row]:
    """The rows of one kind at growing sizes, with the growth from each to the next."""
    pairs = zip(rows[1:], rows, sizes[1:], sizes, strict=False)
    growth = [f"{row.ours / last.ours:.1f} for {size // less}" for row, last, size, less in pairs]
    return [row._replace(growth=text) for row, text in zip(rows, ["", *growth], strict=True)]


def label(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s' if count > 1 else ''}"
