"""What makes kubectl refuse a kubeconfig as a whole: entries of one name, and values of a wrong type."""

from collections import Counter
from typing import Any

from fleet.clusters.contents import PARTS, decode
from fleet.clusters.yaml_parse import Document
from fleet.findings import Fault, cut, printable

TEXTS = {
    "cluster": ("server", "tls-server-name", "certificate-authority", "proxy-url"),
    "context": ("cluster", "user", "namespace"),
    "user": (
        *("client-certificate", "client-key", "token", "tokenFile"),
        *("as", "as-uid", "username", "password"),
    ),
}
WAY_OUT = "kubectl refuses such a file"


def check(data: dict[str, Any], document: Document, what: str) -> None:
    """Raise Fault when kubectl would refuse `data`; the places are those of `document`, of which it was made."""
    for part, inner in PARTS.items():
        entries = data.get(part) or []
        for name, count in Counter(entry["name"] for entry in entries).items():
            if count > 1:
                places = " and ".join(_places(document, part, name)[:5])
                raise Fault(
                    f"{what} has several {part} called {_shown(name)}: {places}; {WAY_OUT}, so rename or remove"
                    " one of them first"
                )
        for entry in entries:
            for key, value in (entry.get(inner) or {}).items():
                if wrong := _wrong(inner, key, value):
                    place = " ".join(_places(document, part, entry["name"])[:1])
                    raise Fault(
                        f"{what} has a {inner} {_shown(entry['name'])}, {place}, whose {key} {wrong}; {WAY_OUT}, so"
                        " correct it first"
                    )


def _wrong(inner: str, key: str, value: Any) -> str:
    if key in TEXTS[inner] and isinstance(value, int | float | list | dict):
        return "is not text"
    if key in ("insecure-skip-tls-verify", "disable-compression") and isinstance(value, str):
        return "is text, not true or false"
    if str(key).endswith("-data") and isinstance(value, str):
        try:
            decode(value)
        except ValueError:
            return "is not valid base64"
    return ""


def _shown(name: str) -> str:
    return cut(printable(name))


def _places(document: Document, part: str, name: str) -> list[str]:
    pairs = document.node.value if document.node else ()
    lines = [item.start_mark.line + 1 for key, items in pairs if key.value == part for item in items.value]
    entries = enumerate(zip(document.data.get(part) or [], lines, strict=True), 1)
    return [f"entry {number} (line {line})" for number, (entry, line) in entries if entry["name"] == name]
