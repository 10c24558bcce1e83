"""What became of each machine's play: a table for a person, and for GitHub's summary of the run."""

from typing import NamedTuple

from fleet.console import table
from fleet.forge import step


class Row(NamedTuple):
    host: str
    playbook: str
    result: str
    seconds: float = 0
    changed: int = 0


def show(rows: list[Row]) -> None:
    head = ("machine", "playbook", "result", "changed", "seconds")
    lines = [(r.host, r.playbook, r.result, str(r.changed), f"{r.seconds:.0f}") for r in rows]
    print(table(head, lines))
    step.note("\n".join(f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *lines)) + "\n")
