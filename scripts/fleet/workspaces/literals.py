"""Literal values of Terraform's language, with the line of each of their parts.

Terraform itself is not needed: the defaults of variables are literals. Tests compare with what it reads.
"""

import re
import unicodedata
from typing import Any, NamedTuple

from tree_sitter import Node

from fleet.findings import Fault, cut
from fleet.workspaces.nodes import inner, line_of, of, text_of

Place = tuple[str | int, ...]  # ("observability", 0): the first of the list under that key
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))|([$%])\4\{", re.DOTALL)
_PLAIN = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}


class Literal(NamedTuple):
    """A value as Python has it, and the line of each of its parts; () is its own."""

    value: Any
    lines: dict[Place, int]


def literal(node: Node, file: str) -> Literal:
    """What an expression says if it is a literal. Raises Fault for all else, as Terraform does in a default."""
    lines: dict[Place, int] = {}
    return Literal(_value(node, (), lines, file), lines)


def text(node: Node, file: str) -> str:
    """What a string in quotes says, which has no `${`. Raises Fault."""
    written = text_of(node)[1:-1]  # the node within lacks blanks at either end
    if "\n" in written:
        raise Fault("the text is not closed on its line; is a quotation mark missing?", file, line_of(node))

    def plain(match: re.Match[str]) -> str:
        code, sign = match[1] or match[2], match[4]
        if sign:
            return f"{sign}{{"
        if code is None and match[3] in _PLAIN:
            return _PLAIN[match[3]]
        if code is None or int(code, 16) > 0x10FFFF or 0xD800 <= int(code, 16) < 0xE000:
            raise Fault(f"{match[0]} is not an escape of Terraform; write \\\\ for a \\", file, line_of(node))
        return chr(int(code, 16))

    return unicodedata.normalize("NFC", _ESCAPE.sub(plain, written))


def _value(node: Node, path: Place, lines: dict[Place, int], file: str) -> Any:
    lines[path] = line_of(node)
    node = inner(node)
    match node.type:
        case "string_lit":
            return text(node, file)
        case "numeric_lit":
            return _number(node, file)
        case "bool_lit":
            return text_of(node) == "true"
        case "null_lit":
            return None
        case "tuple":
            values = enumerate(of(node, "expression"))
            return [_value(each, (*path, number), lines, file) for number, each in values]
        case "object":
            return _object(node, path, lines, file)
    raise _not_literal(node, file)


def _object(node: Node, path: Place, lines: dict[Place, int], file: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for element in of(node, "object_elem"):
        key, value = element.child_by_field_name("key"), element.child_by_field_name("val")
        if key is None or value is None:
            raise _not_literal(element, file)
        name = _key(inner(key), file)
        if name in found:  # Terraform takes the last one and says nothing
            message = f"{cut(name)} is there twice, in line {lines[(*path, name)]} too; keep one of them"
            raise Fault(message, file, line_of(element))
        found[name] = _value(value, (*path, name), lines, file)
        lines[(*path, name)] = line_of(element)
    return found


def _key(node: Node, file: str) -> str:
    if node.type == "variable_expr":
        return unicodedata.normalize("NFC", text_of(node))
    if node.type == "string_lit":
        return text(node, file)
    raise _not_literal(node, file)


def _number(node: Node, file: str) -> int | float:
    written = text_of(node)
    if re.fullmatch(r"\d{1,15}(\.\d{1,15})?", written):
        return float(written) if "." in written else int(written)
    raise _not_literal(node, file)


def _not_literal(node: Node, file: str) -> Fault:
    message = (
        f"{cut(' '.join(text_of(node).split()))} is not a literal; write the value itself, a text in quotes"
    )
    return Fault(message, file, line_of(node))
