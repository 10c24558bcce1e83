"""The type of a variable, `map(object({ name = optional(string) }))`, and where a value differs from it.

Stricter than Terraform, which makes "true" a boolean and 5 a text: whoever writes that means something else.
"""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tree_sitter import Node

from fleet.findings import Fault, cut, listed
from fleet.workspaces.literals import Place
from fleet.workspaces.nodes import inner, line_of, text_of

_PRIMITIVES = {"string": (str,), "number": (int, float), "bool": (bool,)}
_WORDS = {"string": "a text in quotes", "number": "a number", "bool": "true or false"}


class Type(NamedTuple):
    """`kind` is the constructor's or primitive's name; `of` an element's type; `attributes` those of an object."""

    kind: str
    of: "Type | None" = None
    attributes: Mapping[str, Any] = {}  # (Type, bool): with whether it is required


def read(node: Node, file: str) -> Type:
    """The type that an expression names. Raises Fault for one that no variable here needs."""
    part = inner(node)
    if part.type == "variable_expr" and text_of(part) in (*_PRIMITIVES, "any"):
        return Type(text_of(part))
    if part.type == "function_call":
        name, *others = part.children
        arguments = [each for child in others for each in child.children if each.type == "expression"]
        kind = text_of(name)
        if kind in ("list", "set", "map") and len(arguments) == 1:
            return Type(kind, read(arguments[0], file))
        if kind == "object" and len(arguments) == 1:
            return Type("object", attributes=_attributes(inner(arguments[0]), file))
    said = cut(" ".join(text_of(node).split()))
    raise Fault(f"{said} is not a type that can be checked here", file, line_of(node))


def _attributes(node: Node, file: str) -> dict[str, tuple[Type, bool]]:
    found = {}
    for element in (child for child in node.children if child.type == "object_elem"):
        key, value = element.child_by_field_name("key"), element.child_by_field_name("val")
        if key is None or value is None:
            continue
        part, required = inner(value), True
        if part.type == "function_call" and text_of(part.children[0]) == "optional":
            required = False
            value = next(
                each for child in part.children for each in child.children if each.type == "expression"
            )
        found[text_of(key).strip('"')] = (read(value, file), required)
    return found


def differences(wanted: Type, value: Any, path: Place = ()) -> Iterator[tuple[Place, str]]:
    """Each place where a value is not of the type, and what is wrong there."""
    if wanted.kind == "any":
        return
    if wanted.kind in _PRIMITIVES:
        if not isinstance(value, _PRIMITIVES[wanted.kind]) or (type(value) is bool) != (
            wanted.kind == "bool"
        ):
            yield path, f"must be {_WORDS[wanted.kind]}, not {_shown(value, wanted.kind)}"
    elif wanted.kind in ("list", "set"):
        if not isinstance(value, list):
            yield path, f"must be a list, not {_shown(value)}"
            return
        for number, each in enumerate(value):
            yield from differences(wanted.of or Type("any"), each, (*path, number))
    elif not isinstance(value, dict):
        yield path, f"must be a map in braces, not {_shown(value)}"
    elif wanted.kind == "map":
        for key, each in value.items():
            yield from differences(wanted.of or Type("any"), each, (*path, key))
    else:
        yield from _of_object(wanted.attributes, value, path)


def _of_object(attributes: Mapping, value: dict, path: Place) -> Iterator[tuple[Place, str]]:
    for name, (kind, required) in attributes.items():
        if value.get(name) is None:
            if required:
                yield path, f"{name} is missing"
        else:
            yield from differences(kind, value[name], (*path, name))
    for name in value.keys() - attributes.keys():
        near = difflib.get_close_matches(name[:40].lower(), attributes, 1, 0.6)
        yield (
            (*path, name),
            f"unknown key; {f'did you mean {near[0]}?' if near else f'there are {listed(attributes)}'}",
        )


def _shown(value: Any, wanted: str = "") -> str:
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "a map"
    if isinstance(value, str):
        remove = value in ("true", "false") if wanted == "bool" else wanted == "number" and value.isdecimal()
        return f'"{cut(value)}"' + ("; remove the quotes" if remove else "")
    return {None: "null", True: "true", False: "false"}.get(value, str(value))
