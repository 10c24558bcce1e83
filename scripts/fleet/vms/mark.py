"""The mark by which a machine of this project is known: a tag, and the last line of its description."""

import re

TAG = "proxmox-gitops"
LINE = re.compile(rf"^\s*{TAG}:", re.MULTILINE)  # what no description may hold besides


def mark(name: str) -> str:
    """The line in a machine's description by which the clone of an interrupted apply is recognized."""
    return f"{TAG}: {name}"
