"""The lines as a person reads them: a table on a terminal, plain lines elsewhere."""

import contextlib
import importlib.util
import itertools
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TextIO

from fleet.doctor.line import GROUPS, OK, RED, SKIPPED, WARNING, Line
from fleet.findings import visible

MARKS = {OK: ("✓", "green"), WARNING: ("!", "yellow"), RED: ("✗", "bold red"), SKIPPED: ("-", "dim")}
WIDE = 110  # columns from which `wanted` has one of its own


def as_json(lines: Sequence[Line]) -> str:
    keys = ("group", "name", "state", "found", "wanted", "mend")
    return json.dumps(
        [{key: getattr(line, key) for key in keys} for line in lines], indent=2, ensure_ascii=False
    )


def folded(lines: Sequence[Line]) -> list[Line]:
    """The same with one line in place of those that were not asked because of another line."""
    found: list[Line] = []
    for (group, reason), some in itertools.groupby(lines, lambda line: (line.group, line.found)):
        together = list(some)
        if len(together) > 1 and together[0].state == SKIPPED:
            names = ", ".join(line.name for line in together)
            together = [Line(f"{len(together)} more", f"{reason}: {names}", state=SKIPPED, group=group)]
        found += together
    return found


def plain(lines: Sequence[Line]) -> str:
    """Nothing is cut or wrapped, so that a command can be copied and a line be searched for."""
    lines = folded(lines)
    width = max(len(line.name) for line in lines)
    text = []
    for group in GROUPS:
        text += ["", group] if text else [group]
        for line in (line for line in lines if line.group == group):
            text.append(visible(f"  {line.state:<7}  {line.name:<{width}}  {line.found}", kept=""))
            if line.state in (RED, WARNING):
                text += [visible(f"{'':{width + 13}}{label}: {said}", kept="") for label, said in
                         (("wanted", line.wanted), ("mend", line.mend)) if said]  # fmt: skip
    return "\n".join(text)


def fits_table(stream: TextIO) -> bool:
    """Whether it is a terminal that has the marks, and the table's package is there; a line says so if not."""
    is_utf8 = (stream.encoding or "").lower().replace("-", "") == "utf8"
    return stream.isatty() and is_utf8 and importlib.util.find_spec("rich") is not None


def table(lines: Sequence[Line]) -> None:
    """Onto the terminal, as wide as it is."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    lines = folded(lines)
    console = Console(highlight=False)
    wide = console.width >= WIDE
    width = max(len(line.name) for line in lines)
    for group in GROUPS:
        console.print(Text(group, "bold"))
        grid = Table(box=None, show_header=False, padding=(0, 2, 0, 0), expand=True)
        grid.add_column(width=3, justify="right", no_wrap=True)
        grid.add_column(width=min(width, console.width // 3), overflow="fold")
        grid.add_column(ratio=3, overflow="fold")
        if wide:
            grid.add_column(ratio=2, overflow="fold", style="dim")
        for line in (line for line in lines if line.group == group):
            mark, style = MARKS[line.state]
            found = Text(visible(line.found, kept=""), "dim" if line.state == SKIPPED else "")
            if line.state in (RED, WARNING):
                if line.wanted and not wide:
                    found.append(f"\nwanted: {visible(line.wanted, kept='')}", "dim")
                found.append(f"\n→ {visible(line.mend, kept='')}", "cyan")
            cells = [Text(mark, style), Text(line.name, style if line.state in (RED, WARNING) else ""), found]
            if wide:
                one_line = line.state not in (RED, WARNING)  # what is well needs no more than a glance
                overflow = "ellipsis" if one_line else "fold"
                cells.append(Text(visible(line.wanted, kept=""), "dim", no_wrap=one_line, overflow=overflow))
            grid.add_row(*cells)
        console.print(grid)
        console.print()


@contextlib.contextmanager
def progress(total: int) -> Iterator[Callable[[int], None]]:
    """How far it is, on a terminal's standard error only."""
    if not fits_table(sys.stderr):
        yield lambda done: None
        return
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    with console.status(f"0 of {total} questions answered") as status:
        yield lambda done: status.update(f"{done} of {total} questions answered")
