"""schemas/vm.schema.json, field by field."""

import functools
import json
import re
from typing import Any

from fleet import paths


@functools.cache
def schema() -> dict[str, Any]:
    return json.loads(paths.SCHEMA.read_bytes())


def part_of(field: str) -> dict[str, Any]:
    """What the schema says of a field such as `disks.scsi0.size`; empty for a field that it does not have."""
    part = schema()
    for step in field.split("."):
        part = child_of(form_of(part, {}), step)
    return part


def child_of(part: dict[str, Any], name: str) -> dict[str, Any]:
    """What a group says of one of its fields; empty for a field that it does not have."""
    patterns = part.get("patternProperties", {}).items()
    child = part.get("properties", {}).get(name) or part.get("items", {})
    return resolved(child or next((child for pattern, child in patterns if re.search(pattern, name)), {}))


def form_of(part: dict[str, Any], value: Any) -> dict[str, Any]:
    """Of a field that may be a group or text (`vga: qxl`): what the schema says of the form that the value has."""
    return resolved(part["then" if isinstance(value, dict) else "else"]) if "then" in part else part


def resolved(part: dict[str, Any]) -> dict[str, Any]:
    """With what its `$ref` refers to; what stands beside it wins."""
    if "$ref" not in part:
        return part
    target = resolved(schema()["$defs"][part["$ref"].removeprefix("#/$defs/")])
    return target | {key: value for key, value in part.items() if key != "$ref"}


def is_required(field: str) -> bool:
    """Whether the group of a field, or the file, must have it."""
    group, _, name = field.rpartition(".")
    if field in ("ipconfig0", "ciuser", "clone"):
        return True  # but for machines without cloud-init, or those from an image
    return name in (part_of(group) if group else schema()).get("required", ())
