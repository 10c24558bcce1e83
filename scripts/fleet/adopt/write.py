"""The text of a VM file, in the order of the schema, so that every YAML reader reads the same."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from fleet.vms import files, strict_yaml
from fleet.vms.schema import schema

_PLAIN = re.compile(r"[A-Za-z0-9/][A-Za-z0-9/._+@-]*")
_KEY = re.compile(r"[a-z0-9@.-]+ [A-Za-z0-9+/=]+( [A-Za-z0-9/._+@-]+)?")
_QUOTED = re.compile(r"ipconfig\d+|macaddr|boot")  # as the documentation writes them
_FIRST = ("name", "target_node", "vmid")
_AFTER = {"net": "network", "ipconfig": "ipconfig0"}  # others with slots stand at the end


def text(fields: Mapping[str, Any], remarks: Mapping[str, str], head: Iterable[str]) -> str:
    """A VM file: `head` as comments above, and `remarks` at the ends of the lines of their fields."""
    lines = [f"# {line}" for line in head]
    for field in sorted(fields, key=_place):
        lines += _lines(field, fields[field], remarks)
    return "\n".join(lines) + "\n"


def is_read_back(label: str, written: str, fields: Mapping[str, Any]) -> bool:
    """Whether the strict reader finds nothing wrong and the same values."""
    vm, findings = files.load_text(label, written)
    return not findings and vm is not None and vm.data == fields


def _place(field: str) -> tuple[int, str, int]:
    order = [*_FIRST, *(name for name in schema()["properties"] if name not in _FIRST)]
    kind, number = re.fullmatch(r"(.*?)(\d*)", field).groups()
    if field in order:
        return order.index(field), "", 0
    after = _AFTER.get(kind)
    return (order.index(after) if after else len(order)), kind, int(number or 0)


def _lines(field: str, value: Any, remarks: Mapping[str, str]) -> list[str]:
    remark = f"  # {remarks[field]}" if field in remarks else ""
    if field == "disks":
        slots = [
            f"  {slot}: {_flow(disk)}"
            + (f"  # {remarks[f'disks.{slot}']}" if f"disks.{slot}" in remarks else "")
            for slot, disk in value.items()
        ]
        return ["disks:", *slots]
    if field == "sshkeys":
        return ["sshkeys:", *(f"  - {_scalar(field, key)}" for key in value)]
    if isinstance(value, str) and "\n" in value and (block := _block(field, value)):
        return block
    return [f"{field}: {_flow(value, field)}{remark}"]


def _block(field: str, value: str) -> list[str]:
    """Text of several lines as it stands; [] where that would not be read back."""
    lines = [f"{field}: |-", *(f"  {line}".rstrip() for line in value.split("\n"))]
    read, _, findings = strict_yaml.parse("", "\n".join(lines) + "\n")
    return lines if not findings and read == {field: value} else []


def _flow(value: Any, field: str = "") -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_flow(part, key)}" for key, part in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(part) for part in value) + "]"
    return _scalar(field, value)


def _scalar(field: str, value: Any) -> str:
    if not isinstance(value, str):
        return json.dumps(value)
    form = _KEY if field == "sshkeys" else _PLAIN
    plain = form.fullmatch(value) and strict_yaml.is_text(value) and not _QUOTED.fullmatch(field)
    if plain and strict_yaml.parse("", f"x: {value}\n")[0::2] == ({"x": value}, []):
        return value
    return json.dumps(value, ensure_ascii=False)
