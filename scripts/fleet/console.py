"""What a script reports: a line while it works, a table at its end."""

import sys
import time
from collections.abc import Iterable

STARTED = time.monotonic()


def note(text: str) -> None:
    """One line on standard error, with the seconds since the script's start."""
    print(f"[{time.monotonic() - STARTED:5.1f} s] {text}", file=sys.stderr, flush=True)


def table(heads: Iterable[object], rows: Iterable[Iterable[object]]) -> str:
    """Rows below their heads, in columns."""
    lines = [[str(cell) for cell in row] for row in (heads, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines
    )
