"""What became of each guest, as a table and as findings."""

from collections.abc import Iterable
from typing import NamedTuple

from fleet.adopt.candidate import Candidate
from fleet.findings import Finding, printable


class Row(NamedTuple):
    vmid: int
    name: str
    node: str
    what: str
    file: str = ""


def table(rows: Iterable[Row]) -> str:
    """The rows under their headings, each column as wide as its longest text."""
    lines = [("VMID", "NAME", "NODE", "RESULT", "FILE")]
    lines += [(str(row.vmid), printable(row.name), row.node, row.what, row.file) for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def findings(one: Candidate, partial: bool) -> list[Finding]:
    """Why a guest gets no file, or what of it stays in Proxmox without being said."""
    if one.managed:
        return []
    found = [Finding(printable(f"refused: {one.who} {reason}")) for reason in one.refused]
    level, verb = (
        ("notice", "keeps in Proxmox what its file does not say") if partial else ("error", "refused")
    )
    for reason in one.unsaid:
        text = f"{one.who}: {verb}: {reason}" if partial else f"{verb}: {one.who}: {reason}"
        if not partial:
            text += "; --partial writes the file without it, and Proxmox keeps it"
        found.append(Finding(printable(text), level=level))
    if one.kept and not one.refused:
        text = f"{one.who}: stays in Proxmox, where Terraform leaves it alone: {', '.join(one.kept)}"
        found.append(Finding(printable(text), level="notice"))
    return found
