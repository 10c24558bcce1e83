"""The text of the forge's issue: the rows as a table of Markdown, cut at a row."""

import html
import re
from collections.abc import Mapping
from typing import Any

from fleet.findings import printable

MARKER = "<!-- proxmox-gitops: drift -->"
MOST = 60_000  # characters; GitHub takes 65,536
HEADS = ("machine", "kind", "what", "was", "is", "command")


def body(told: Mapping[str, Any]) -> str:
    """The issue for what `drift.py --json` wrote. It has no time, so that it changes only when the drift does."""
    lines = [MARKER, "", "The places that describe the machines disagree. Nothing was repaired.", ""]
    if told["rows"]:
        lines += [f"| {' | '.join((*HEADS[:-1], 'mend'))} |", "|---" * len(HEADS) + "|"]
    rows = [f"| {' | '.join(escaped(row[head]) for head in HEADS)} |" for row in told["rows"]]
    rows += ["", *(f"- not looked at: {escaped(reason)}" for reason in told["unknown"])]
    room = MOST - sum(len(line) + 1 for line in lines)
    for number, row in enumerate(rows):
        room -= len(row) + 1
        if room < 0:
            return "\n".join([*lines, "", f"{len(rows) - number} more lines are in the run's log."])
        lines.append(row)
    return "\n".join(lines).rstrip()


def escaped(text: object) -> str:
    """A stranger's text as text: no markup, no mention, no link, no cell of its own."""
    safe = html.escape(printable(str(text)))
    return re.sub(r"[\\`*_{}\[\]()#+!|~@:]", lambda sign: f"&#{ord(sign[0])};", safe)
