"""A file in Terraform's language: its blocks and their attributes."""

from typing import NamedTuple

import tree_sitter_hcl
from tree_sitter import Language, Node, Parser

from fleet.findings import Fault
from fleet.workspaces import literals
from fleet.workspaces.nodes import below, line_of, of, parts, text_of

_PARSER = Parser(Language(tree_sitter_hcl.language()))
_DEEPEST = 200  # nodes; what reads a tree calls itself for each
_TEXTS = ("string_lit", "template_expr")


class Block(NamedTuple):
    """A block such as `variable "config" { … }`; its own blocks are not among the attributes."""

    kind: str
    labels: tuple[str, ...]
    attributes: dict[str, Node]
    line: int
    node: Node


def read(text: str, file: str) -> tuple[list[Block], dict[str, Node]]:
    """The blocks of a file and its attributes outside of blocks. Raises Fault for what is not HCL."""
    root = _PARSER.parse(text.encode()).root_node
    if root.has_error:
        wrong = [line_of(node) for _, node in below(root) if node.is_error or node.is_missing]
        raise Fault("is not valid HCL here; `terraform fmt` says more", file, min(wrong, default=1))
    depth, deepest = max(((depth, line_of(node)) for depth, node in below(root)), default=(0, 1))
    if depth > _DEEPEST:
        raise Fault("is nested too deeply to be read", file, deepest)
    bodies = [body for body in root.children if body.type == "body"]
    return [_block(node, file) for body in bodies for node in of(body, "block")], _attributes(bodies, file)


def words(text: str, without: list[Node]) -> str:
    """The words of a text but for its remarks and those of some nodes; two texts that mean the same have the same."""
    left_out = {(node.start_byte, node.end_byte) for node in without}
    found: list[str] = []

    def gather(node: Node) -> None:
        if node.type == "comment" or (node.start_byte, node.end_byte) in left_out:
            return
        if not node.children or node.type in _TEXTS:  # blanks in a text count
            found.append(text_of(node))
            return
        for child in node.children:
            gather(child)

    gather(_PARSER.parse(text.encode()).root_node)
    return "\n".join(found)


def _block(node: Node, file: str) -> Block:
    kind, *others = of(node, "identifier")
    labels = [*others, *of(node, "string_lit")]
    names = tuple(literals.text(one, file) if one.type == "string_lit" else text_of(one) for one in labels)
    return Block(text_of(kind), names, _attributes(of(node, "body"), file), line_of(node), node)


def _attributes(bodies: list[Node], file: str) -> dict[str, Node]:
    found: dict[str, Node] = {}
    for node in (each for body in bodies for each in of(body, "attribute")):
        name, _, value = parts(node)
        if text_of(name) in found:
            raise Fault(f"{text_of(name)} is set twice; keep one of them", file, line_of(node))
        found[text_of(name)] = value
    return found
