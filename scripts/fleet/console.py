"""What a script reports while it works."""

import sys
import time

STARTED = time.monotonic()


def note(text: str) -> None:
    """One line on standard error, with the seconds since the script's start."""
    print(f"[{time.monotonic() - STARTED:5.1f} s] {text}", file=sys.stderr, flush=True)
