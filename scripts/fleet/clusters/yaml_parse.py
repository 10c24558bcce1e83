"""Parse untrusted YAML: nesting and aliases are bounded, and no error quotes the text, maybe a secret."""

import gc
import itertools
import re
from typing import Any, NamedTuple

import yaml

from fleet.findings import Fault

Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

MAX_DEPTH = 100  # PyYAML recurses, several calls for each level; from 0.2.6 on libyaml itself stops at 1000
MAX_VALUES = 2_000_000  # counting each alias as often as it is used
STRING = "tag:yaml.org,2002:str"
# Only text with more brackets or indentation than this can exceed MAX_DEPTH: a bracket opens at
# most two levels (`[a: 1]`), and so does a column of indentation (`a:` with `-` right below it).
SHALLOW = MAX_DEPTH // 4


class Document(NamedTuple):
    text: str
    data: dict[str, Any]
    node: yaml.MappingNode | None  # None for an empty document


def parse(text: str, what: str) -> Document:
    """Parse one YAML mapping or an empty text. Raises Fault, which never quotes the text."""
    collecting = gc.isenabled()
    gc.disable()  # a thousand clusters create a hundred thousand objects at once, none of them garbage
    try:
        return _parse(text, what)
    finally:
        if collecting:
            gc.enable()


def _parse(text: str, what: str) -> Document:
    if text.count("[") + text.count("{") > SHALLOW or any(map(_is_indented, text.splitlines())):
        _refuse_depth(text, what)
    loader = None
    try:
        loader = Loader(text)
        node = loader.get_single_node()
        if node is None or node.tag == "tag:yaml.org,2002:null":
            return Document(text, {}, None)
        if not isinstance(node, yaml.MappingNode):
            raise Fault(f"{what} is not a YAML mapping")
        aliases = "&" in text and "*" in text
        if aliases:
            _refuse_bombs(node, what)
        _refuse_doubles(node, what)
        data = loader.construct_document(node) if aliases else _constructed(loader, node)
        return Document(text, data, node)
    except yaml.YAMLError as error:
        raise _unreadable(error, what) from None
    except (ValueError, TypeError, AttributeError, LookupError, ArithmeticError):
        # PyYAML's constructors do not catch the errors of an odd tag or of a date like 2024-13-45.
        raise Fault(f"{what} is not valid YAML: a value does not match its type") from None
    finally:
        if loader is not None:
            loader.dispose()


def _constructed(loader: Any, node: yaml.Node) -> Any:
    """Construct the data of a node without aliases, in a third of the time that PyYAML takes."""
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
    # Not PyYAML's own message: it quotes the text, which may be a key.
    mark = getattr(error, "problem_mark", None)
    place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
    return Fault(f"{what} is not valid YAML{place}")


def _is_indented(line: str) -> bool:
    return len(line) > SHALLOW and not line[:SHALLOW].strip(" \t?:-\ufeff")


def _refuse_depth(text: str, what: str) -> None:
    """Raise Fault for text nested too deeply, in the same words with every version of libyaml."""
    depth, end = 0, 0
    try:
        for event in yaml.parse(text, Loader=Loader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            end = event.end_mark.index
            if depth > MAX_DEPTH:
                raise _too_deep(what)
    except yaml.YAMLError as error:
        # libyaml scans up to 1024 characters beyond the last event and may meet its own limit there.
        mark = getattr(error, "problem_mark", None)
        ahead = text[end : mark.index] if mark else ""
        too_deep = depth + _brackets_open(ahead) > MAX_DEPTH
        raise (_too_deep(what) if too_deep else _unreadable(error, what)) from None
    except ValueError as error:
        raise _unreadable(error, what) from None


def _brackets_open(text: str) -> int:
    """The most brackets that are open at once."""
    steps = (1 if bracket in "[{" else -1 for bracket in re.findall(r"[][{}]", text))
    return max(itertools.accumulate(steps), default=0)


def _too_deep(what: str) -> Fault:
    return Fault(f"{what} is nested deeper than {MAX_DEPTH} levels")


def _refuse_bombs(node: yaml.Node, what: str) -> None:
    """Raise Fault for aliases that make the data too large or too deep."""
    waiting, count = [(node, 1)], 0
    while waiting:
        node, depth = waiting.pop()
        count += 1
        if count + len(waiting) > MAX_VALUES:
            raise Fault(f"{what} expands to more than {MAX_VALUES} values through its aliases")
        if isinstance(node, yaml.ScalarNode):
            continue
        if depth > MAX_DEPTH:
            raise _too_deep(what)
        parts = node.value
        if isinstance(node, yaml.MappingNode):
            parts = [part for pair in parts for part in pair]
        waiting += [(part, depth + 1) for part in parts]


def _refuse_doubles(node: yaml.MappingNode, what: str) -> None:
    lines: dict[str, int] = {}
    for key, _ in node.value:
        line = key.start_mark.line + 1
        if isinstance(key, yaml.ScalarNode) and lines.setdefault(key.value, line) != line:
            raise Fault(
                f"{what} has a duplicate key on lines {lines[key.value]} and {line}; remove one of them"
            )
