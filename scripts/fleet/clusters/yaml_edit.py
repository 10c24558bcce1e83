"""YAML that changes without being written anew: entries of top-level lists are cut out, put in, replaced."""

import contextlib
import gc
import re
from typing import Any, NamedTuple

import yaml

from fleet.findings import Fault

Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

MAX_DEPTH = 200  # libyaml's composer calls itself for each level; some thousand end the process
MAX_VALUES = 2_000_000  # with every alias counted as often as it is used
STRING = "tag:yaml.org,2002:str"
DEEP = re.compile(rf"^[ \t?:-]{{{MAX_DEPTH},}}", re.MULTILINE)
PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9-]*")


class Document(NamedTuple):
    text: str
    data: dict[str, Any]
    node: yaml.MappingNode | None  # None: an empty document


def parse(text: str, what: str) -> Document:
    """Read one YAML mapping, or nothing at all. Raises Fault, which never shows what stands in the text."""
    collecting = gc.isenabled()
    gc.disable()  # a thousand clusters make a hundred thousand objects at once, none of them garbage
    try:
        return _parse(text, what)
    finally:
        if collecting:
            gc.enable()


def dump(data: Any) -> str:
    """YAML as kubectl writes it, with the keys in their order and without aliases."""
    return yaml.dump(data, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=1 << 30)


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


class _Plain(Dumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _parse(text: str, what: str) -> Document:
    if text.count("[") + text.count("{") >= MAX_DEPTH or DEEP.search(text):
        _refuse_depth(text, what)
    loader = None
    try:
        loader = Loader(text)
        node = loader.get_single_node()
        if node is None or node.tag == "tag:yaml.org,2002:null":
            return Document(text, {}, None)
        if not isinstance(node, yaml.MappingNode):
            raise Fault(f"{what} is no YAML mapping")
        aliases = "&" in text and "*" in text
        if aliases:
            _refuse_bombs(node, what)
        _refuse_doubles(node, what)
        data = loader.construct_document(node) if aliases else _constructed(loader, node)
        return Document(text, data, node)
    except yaml.YAMLError as error:
        raise _unreadable(error, what) from None
    except (ValueError, TypeError, AttributeError, LookupError, ArithmeticError):
        # PyYAML's constructors let through whatever a tag or a number like 2024-13-45 makes them meet.
        raise Fault(f"{what} is not YAML that can be read: a value does not fit its type") from None
    finally:
        if loader is not None:
            loader.dispose()


def _constructed(loader: Any, node: yaml.Node) -> Any:
    """The data of a node without aliases: strings, lists and mappings in a third of PyYAML's own time."""
    kind, tag = type(node), node.tag
    if kind is yaml.ScalarNode and tag == STRING:
        return node.value
    if kind is yaml.SequenceNode and tag == "tag:yaml.org,2002:seq":
        return [_constructed(loader, item) for item in node.value]
    simple = kind is yaml.MappingNode and tag == "tag:yaml.org,2002:map"
    if simple and all(type(key) is yaml.ScalarNode and key.tag == STRING for key, _ in node.value):
        return {key.value: _constructed(loader, value) for key, value in node.value}
    return loader.construct_object(node, deep=True)


def _unreadable(error: yaml.YAMLError, what: str) -> Fault:
    # Not PyYAML's own words: they quote the text, and that may be a key.
    mark = getattr(error, "problem_mark", None)
    place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
    return Fault(f"{what} is not YAML{place}")


def _refuse_depth(text: str, what: str) -> None:
    depth = 0
    try:
        for event in yaml.parse(text, Loader=Loader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise Fault(f"{what} is nested deeper than {MAX_DEPTH} levels")
    except (yaml.YAMLError, ValueError) as error:
        raise _unreadable(error, what) from None


def _refuse_bombs(node: yaml.Node, what: str) -> None:
    waiting, count = [node], 0
    while waiting:
        node = waiting.pop()
        count += 1
        if count + len(waiting) > MAX_VALUES:
            raise Fault(f"{what} grows beyond {MAX_VALUES} values through its aliases")
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
        elif isinstance(node, yaml.MappingNode):
            waiting += [part for pair in node.value for part in pair]


def _refuse_doubles(node: yaml.MappingNode, what: str) -> None:
    lines: dict[str, int] = {}
    for key, _ in node.value:
        line = key.start_mark.line + 1
        if isinstance(key, yaml.ScalarNode) and lines.setdefault(key.value, line) != line:
            raise Fault(f"{what} has one key twice, on lines {lines[key.value]} and {line}; readers keep one")


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
