"""Terraform's language as far as it is data: blocks, literal values with their lines, and types.

Terraform itself is not needed: the defaults of variables are literals. Tests compare with what it reads.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import Any, NamedTuple

import tree_sitter
import tree_sitter_hcl

from fleet.findings import Fault, cut

Place = tuple[str | int, ...]  # ("observability", 0): the first of the list under that key
_PARSER = tree_sitter.Parser(tree_sitter.Language(tree_sitter_hcl.language()))
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))|([$%])\4\{", re.DOTALL)
_PLAIN = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}


class Block(NamedTuple):
    """A block such as `variable "config" { … }`; its own blocks are not among the attributes."""

    kind: str
    labels: tuple[str, ...]
    attributes: dict[str, tree_sitter.Node]
    line: int
    node: tree_sitter.Node


class Literal(NamedTuple):
    """A value as Python has it, and the line of each of its parts; () is its own."""

    value: Any
    lines: dict[Place, int]


def read(text: str, file: str) -> tuple[list[Block], dict[str, tree_sitter.Node]]:
    """The blocks of a file and its attributes outside of blocks. Raises Fault for what is not HCL."""
    root = _PARSER.parse(text.encode()).root_node
    if root.has_error:
        raise Fault("is not valid HCL here; `terraform fmt` says more", file, _first_error(root))
    bodies = [body for body in root.children if body.type == "body"]
    return [_block(node, file) for body in bodies for node in _of(body, "block")], _attributes(bodies, file)


def literal(node: tree_sitter.Node, file: str) -> Literal:
    """What an expression says if it is a literal. Raises Fault for all else, as Terraform does in a default."""
    lines: dict[Place, int] = {}
    return Literal(_value(node, (), lines, file), lines)


def words(text: str, without: list[tree_sitter.Node]) -> str:
    """The words of a text but for its remarks and those of some nodes; two texts that mean the same have the same."""
    left_out = {(node.start_byte, node.end_byte) for node in without}
    found: list[str] = []

    def gather(node: tree_sitter.Node) -> None:
        if node.type == "comment" or (node.start_byte, node.end_byte) in left_out:
            return
        if not node.children:
            found.append(text_of(node))
        for child in node.children:
            gather(child)

    gather(_PARSER.parse(text.encode()).root_node)
    return "\n".join(found)


def line_of(node: tree_sitter.Node) -> int:
    return node.start_point[0] + 1


def text_of(node: tree_sitter.Node) -> str:
    return (node.text or b"").decode()


def inner(node: tree_sitter.Node) -> tree_sitter.Node:
    """The one thing of which an expression consists, or the expression."""
    while node.type in ("expression", "literal_value", "collection_value") and len(_parts(node)) == 1:
        node = _parts(node)[0]
    return node


def _parts(node: tree_sitter.Node) -> list[tree_sitter.Node]:
    return [child for child in node.children if child.type != "comment"]


def _of(node: tree_sitter.Node, kind: str) -> list[tree_sitter.Node]:
    return [child for child in node.children if child.type == kind]


def _block(node: tree_sitter.Node, file: str) -> Block:
    kind, *others = _of(node, "identifier")
    labels = [*others, *_of(node, "string_lit")]
    names = tuple(_string(label, file) if label.type == "string_lit" else text_of(label) for label in labels)
    return Block(text_of(kind), names, _attributes(_of(node, "body"), file), line_of(node), node)


def _attributes(bodies: list[tree_sitter.Node], file: str) -> dict[str, tree_sitter.Node]:
    found: dict[str, tree_sitter.Node] = {}
    for node in (each for body in bodies for each in _of(body, "attribute")):
        name, _, value = _parts(node)
        if text_of(name) in found:
            raise Fault(f"{text_of(name)} is set twice; keep one of them", file, line_of(node))
        found[text_of(name)] = value
    return found


def _value(node: tree_sitter.Node, path: Place, lines: dict[Place, int], file: str) -> Any:
    lines[path] = line_of(node)
    node = inner(node)
    match node.type:
        case "string_lit":
            return _string(node, file)
        case "numeric_lit":
            return _number(text_of(node), node, file)
        case "bool_lit":
            return text_of(node) == "true"
        case "null_lit":
            return None
        case "tuple":
            values = enumerate(_of(node, "expression"))
            return [_value(each, (*path, number), lines, file) for number, each in values]
        case "object":
            return _object(node, path, lines, file)
    raise _not_literal(node, file)


def _object(node: tree_sitter.Node, path: Place, lines: dict[Place, int], file: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for element in _of(node, "object_elem"):
        written, value = element.child_by_field_name("key"), element.child_by_field_name("val")
        key = inner(written) if written else element
        if key.type == "variable_expr":
            name = unicodedata.normalize("NFC", text_of(key))
        elif key.type == "string_lit":
            name = _string(key, file)
        else:
            raise _not_literal(key, file)
        if name in found:  # Terraform takes the last one and says nothing
            message = f"{cut(name)} is there twice, in line {lines[(*path, name)]} too; keep one of them"
            raise Fault(message, file, line_of(element))
        found[name] = None
        found[name] = _value(value, (*path, name), lines, file) if value else None
        lines[(*path, name)] = line_of(element)
    return found


def _string(node: tree_sitter.Node, file: str) -> str:
    text = text_of(node)[1:-1]  # the node within lacks blanks at either end
    if "\n" in text:
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

    return unicodedata.normalize("NFC", _ESCAPE.sub(plain, text))


def _number(text: str, node: tree_sitter.Node, file: str) -> int | float:
    if text.isdecimal():
        return int(text)
    if re.fullmatch(r"\d+\.\d+", text):
        return float(text)
    raise _not_literal(node, file)


def _not_literal(node: tree_sitter.Node, file: str) -> Fault:
    message = (
        f"{cut(' '.join(text_of(node).split()))} is not a literal; write the value itself, a text in quotes"
    )
    return Fault(message, file, line_of(node))


def _first_error(node: tree_sitter.Node) -> int:
    """The line of the first place that is wrong."""

    def places(node: tree_sitter.Node) -> Iterator[int]:
        if node.is_error or node.is_missing:
            yield line_of(node)
        for child in node.children:
            if child.has_error or child.is_missing:
                yield from places(child)

    return min(places(node), default=1)
