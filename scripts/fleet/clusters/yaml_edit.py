"""Edit YAML text in place: remove, insert and replace entries of top-level lists, and keep every other byte.

The module is a little longer than 150 lines because splicing is one idea, whose steps share their positions.
"""

import contextlib
import re
from typing import Any

import yaml

from fleet.clusters.yaml_parse import STRING, Document, parse
from fleet.findings import Fault

Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9]*-[A-Za-z0-9-]*")
# Text that kubectl takes for a number or a truth value where PyYAML does not, such as 1e3, 0o14 and y. A single such
# value makes kubectl refuse the whole file.
AMBIGUOUS = re.compile(r"[-+.0-9]|[yYnN]$")


def render(document: Document, data: dict[str, Any]) -> str:
    """Change the text so that its top-level lists and scalars equal those of `data`.

    Entries that are the same objects as in `document.data` keep their text. The whole text is written again
    if it is not in block style, or if the edited text would not parse to `data`.
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
    """YAML as kubectl writes it: without aliases, with the keys in their given order."""
    return yaml.dump(data, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=1 << 30)


class _Plain(Dumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True

    def text(self, value: str) -> yaml.ScalarNode:
        return self.represent_scalar(STRING, value, style='"' if AMBIGUOUS.match(value) else None)


_Plain.add_representer(str, _Plain.text)


def _is_simple(text: str) -> bool:
    """Whether the text is plain lines, as kubectl and K3s write it, so that editing whole lines is safe."""
    odd = ("|", ">", "&", "*", "#", "\r", "\n...", "\n---", "\n%")
    return text.isascii() and not any(sign in text for sign in odd)


def _spliced(document: Document, data: dict[str, Any]) -> str | None:
    """The changed text, or None if it cannot be edited in place."""
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
    """Start and end of each entry of a block list, in whole lines and without the comments after it."""
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
    return [(start, _without_comments(text, start, end)) for start, end in zip(starts, ends, strict=True)]


def _without_comments(text: str, start: int, end: int) -> int:
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
