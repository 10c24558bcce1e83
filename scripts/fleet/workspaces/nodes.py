"""The nodes of a syntax tree of Terraform's language: what each says, where, and what it consists of."""

from collections.abc import Iterator

from tree_sitter import Node


def line_of(node: Node) -> int:
    return node.start_point[0] + 1


def text_of(node: Node) -> str:
    return (node.text or b"").decode()


def parts(node: Node) -> list[Node]:
    return [child for child in node.children if child.type != "comment"]


def of(node: Node, kind: str) -> list[Node]:
    return [child for child in node.children if child.type == kind]


def inner(node: Node) -> Node:
    """The one thing of which an expression consists, or the expression."""
    while node.type in ("expression", "literal_value", "collection_value") and len(parts(node)) == 1:
        node = parts(node)[0]
    return node


def below(root: Node) -> Iterator[tuple[int, Node]]:
    """Every node with its depth, in no order, however deep the tree is."""
    waiting = [(0, root)]
    while waiting:
        depth, node = waiting.pop()
        yield depth, node
        waiting += [(depth + 1, child) for child in node.children]
