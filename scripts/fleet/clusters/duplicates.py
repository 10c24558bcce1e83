"""Kubeconfig entries of one name, for which kubectl refuses the whole file."""

from collections import Counter
from typing import Any

from fleet.clusters.contents import PARTS
from fleet.clusters.yaml_parse import Document
from fleet.findings import Fault, cut, printable


def refuse(data: dict[str, Any], document: Document, what: str) -> None:
    """Raise Fault when two clusters, contexts or users of `data` have the same name.

    The message has their places in `document`, from which `data` was made.
    """
    for part in PARTS:
        names = Counter(entry["name"] for entry in data.get(part) or [])
        for name in (name for name, count in names.items() if count > 1):
            entries = zip(document.data[part], _lines(document, part), strict=True)
            places = [
                f"entry {number} (line {line})"
                for number, (entry, line) in enumerate(entries, 1)
                if entry["name"] == name
            ]
            raise Fault(
                f"{what} has several {part} called {cut(printable(name))}: {' and '.join(places[:5])}; kubectl"
                " refuses such a file, so rename or remove one of them first"
            )


def _lines(document: Document, part: str) -> list[int]:
    pairs = document.node.value if document.node else ()
    return [item.start_mark.line + 1 for key, items in pairs if key.value == part for item in items.value]
