"""YAML that changes without being written anew: entries of top-level lists are cut out, put in, replaced.

The module is longer than 150 lines because its one idea, the splice, is a chain of small steps on one text.
"""

import contextlib
import re
from typing import Any

import yaml

from fleet.clusters.yaml_parse import Document, parse
from fleet.findings import Fault

Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9-]*")


def render(document: Document, data: dict[str, Any]) -> str:
    """The text with its top-level lists and scalars as in `data`, entries that stay as they were written.

    Entries stay that are the same objects as in `document.data`. Text that is not laid out in blocks, or
    where the result would not read as `data`, is written anew as a whole.
    """
    if data == document.data:
        return document.text
    text = _spliced(document, data)
    if text is not None:
        if _is_simple(text):
            return text
        with contextlib.suppress(Fault):
            if parse(text, "").data == data:
                return text
    return dump(data)


def dump(data: Any) -> str:
    """YAML as kubectl writes it, with the keys in their order and without aliases."""
    return yaml.dump(data, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=1 << 30)


class _Plain(Dumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _is_simple(text: str) -> bool:
    """Whether lines are all there is to its layout, as kubectl and K3s write it: then no cut can go wrong."""
    odd = ("|", ">", "&", "*", "#", "\r", "\n...", "\n---", "\n%")
    return text.isascii() and not any(sign in text for sign in odd)


def _spliced(document: Document, data: dict[str, Any]) -> str | None:
    """The changed text, or None where it cannot be done."""
    text, old = document.text, document.data
    if document.node is None or document.node.flow_style or set(old) - set(data):
        return None
    nodes = {key.value: value for key, value in document.node.value}
    keys = {key.value: key for key, _ in document.node.value}
    edits: list[tuple[int, int, str]] = []
    for key, value in data.items():
        if key in old and old[key] == value:
            continue
        if isinstance(value, str) and key not in old:
            line = "" if text.endswith("\n") else "\n"
            edits.append((len(text), len(text), f"{line}{key}: {_scalar(value)}\n"))
        elif isinstance(value, str) and isinstance(nodes[key], yaml.ScalarNode):
            edits.append((nodes[key].start_mark.index, nodes[key].end_mark.index, _scalar(value)))
        elif isinstance(value, list) and value and not old.get(key):
            entries = dump(value)
            if key not in old:
                line = "" if text.endswith("\n") else "\n"
                edits.append((len(text), len(text), f"{line}{key}:\n{entries}"))
            else:
                start, end = keys[key].end_mark.index, nodes[key].end_mark.index
                edits.append((text.index(":", start) + 1, end, "\n" + entries.rstrip("\n")))
        elif isinstance(value, list) and not value and (places := _places(text, nodes[key])):
            colon = text.index(":", keys[key].end_mark.index) + 1
            edits += [(colon, colon, " []"), *((*place, "") for place in places)]
        elif isinstance(value, list) and value and isinstance(old.get(key), list):
            changes = _list_edits(text, nodes[key], old[key], value)
            if changes is None:
                return None
            edits += changes
        else:
            return None
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text


def _list_edits(text: str, node: yaml.Node, old: list, new: list) -> list[tuple[int, int, str]] | None:
    places = _places(text, node)
    if not places or len(places) != len(old):
        return None
    index = {id(entry): place for place, entry in enumerate(old)}
    stay = [index[id(entry)] for entry in new if id(entry) in index]
    if stay != sorted(set(stay)):
        return None
    edits, here, fresh = [], 0, []
    for entry in [*new, None]:
        if entry is not None and id(entry) not in index:
            fresh.append(entry)
            continue
        there = index[id(entry)] if entry is not None else len(old)
        added = _indented(fresh, node.start_mark.column)
        gone = places[here:there]
        if gone:
            edits.append((*gone[0], added))
            edits += [(*place, "") for place in gone[1:]]
        elif added and here:
            end = places[here - 1][1]
            edits.append((end, end, added if text[end - 1] == "\n" else "\n" + added))
        elif added:
            edits.append((places[0][0], places[0][0], added))
        here, fresh = there + 1, []
    return edits


def _places(text: str, node: yaml.Node) -> list[tuple[int, int]] | None:
    """From where to where each entry of a block list stands, in whole lines, remarks after it left out."""
    if not isinstance(node, yaml.SequenceNode) or node.flow_style:
        return None
    starts, low = [], node.start_mark.index
    for item in node.value:
        dash = text.rfind("-", low, item.start_mark.index)
        start = text.rfind("\n", 0, dash) + 1
        if dash < 0 or text[start:dash].strip(" ") or dash - start != node.start_mark.column:
            return None
        starts.append(start)
        low = item.start_mark.index
    ends = [*starts[1:], node.end_mark.index]
    return [(start, _without_remarks(text, start, end)) for start, end in zip(starts, ends, strict=True)]


def _without_remarks(text: str, start: int, end: int) -> int:
    while end > start:
        line = text.rfind("\n", start, end - 1) + 1
        body = text[line:end].strip()
        if line <= start or (body and not body.startswith("#")):
            break
        end = line
    return end


def _indented(entries: list, column: int) -> str:
    lines = dump(entries).splitlines(keepends=True) if entries else []
    return "".join(" " * column + line for line in lines)


def _scalar(value: str) -> str:
    return value if PLAIN.fullmatch(value) else f'"{value}"'
