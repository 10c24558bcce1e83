"""How far a download or an import is, from the lines that its task writes."""

import re
import time
from collections.abc import Callable

EVERY = 5  # seconds between two lines of progress
# wget's lines: 32768K ........ ........ ........ ........ 15% 45.2M 9s
_DOTS = re.compile(r"[. ]+ (\d{1,3})% +([\d.]+)([KMG]?)(?:[ =]\S+)?$")
# qemu-img's, as Proxmox writes them: transferred 1.0 GiB of 3.0 GiB (33.33%)
_COPY = re.compile(r"transferred ([\d.]+) ([KMGT]?)i?B of .*\(([\d.]+)%\)")
_MIB = {"": 1 / (1 << 20), "K": 1 / 1024, "M": 1, "G": 1024, "T": 1 << 20}


def follow(
    name: str, say: Callable[[str], None], keep: Callable[[str], None] = lambda line: None
) -> Callable[[str], None]:
    """What gets the lines of a task's log: passes some on as percent and rate, and all to `keep`."""
    start, last = time.monotonic(), -float(EVERY)

    def line(text: str) -> None:
        nonlocal last
        keep(text)
        now = time.monotonic()
        if now - last < EVERY:
            return
        if match := _DOTS.search(text):
            percent, rate = match[1], f"{match[2]} {match[3]}B/s"
        elif match := _COPY.search(text):
            percent = f"{float(match[3]):.0f}"
            rate = f"{float(match[1]) * _MIB[match[2]] / max(now - start, 0.1):.0f} MiB/s"
        else:
            return
        last = now
        say(f"{name}: {percent} %, {rate}")

    return line
