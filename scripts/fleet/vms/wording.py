"""The message for a field that breaks the schema: what is wrong with it, and the way out.

More than 150 lines because the names that people know from elsewhere are part of the messages.
"""

import difflib
import json
import re
from collections.abc import Iterator
from typing import Any

from fleet.findings import Finding, cut
from fleet.vms.files import VM
from fleet.vms.hardware import NONE
from fleet.vms.other_names import (
    OTHER_NAMES,
    OTHER_VALUES,
    REFUSED,
    REFUSED_OF_DEVICES,
    REFUSED_OF_DISKS,
)
from fleet.vms.schema import is_required, part_of

_WORDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a group of fields, each indented on a line of its own",
}


# The last slot of each kind.
LAST = {
    "net": "net31",
    "ipconfig": "ipconfig7",
    "hostpci": "hostpci15",
    "usb": "usb3",
    "virtiofs": "virtiofs7",
}
# By the group, as a pattern: why there are no such fields in it.
_REFUSED = {"$": REFUSED, r"hostpci|usb": REFUSED_OF_DEVICES, r"disks\.": REFUSED_OF_DISKS}


def where(error: Any) -> str:
    """The field of an error of jsonschema's, as `disks.scsi0.size`."""
    return ".".join(str(step) for step in error.absolute_path)


def tell(vm: VM, error: Any, required: bool = False) -> Iterator[Finding]:
    """The findings for one error of jsonschema's; `required`: whether the file needs the field."""
    field, rule, wanted, value = where(error), error.validator, error.validator_value, error.instance
    if rule == "required":
        for name in wanted:
            if name not in value:
                missing = _below(field, name)
                yield vm.finding(missing, f"is missing{_example(name, part_of(missing))}")
    elif rule == "additionalProperties":
        known = error.schema.get("properties", {})
        patterns = error.schema.get("patternProperties", {})
        for name in value:
            if name not in known and not any(re.search(pattern, name) for pattern in patterns):
                yield vm.finding(_below(field, name), unknown(name, field, list(known)))
    elif value is None:
        way_out = f"{_example(field.rpartition('.')[2], error.schema)}" if required else " or remove the line"
        yield vm.finding(field, f"has no value; give it one{way_out}")
    elif rule == "type" and field == "cipassword":  # whose value is for nobody's eyes
        yield vm.finding(field, error.schema["errorMessage"])
    elif rule == "type":
        yield vm.finding(field, _wrong_type(field, value, error.schema, vm.lines.written.get(field)))
    else:
        yield vm.finding(field, _text(field, rule, wanted, value, error.schema) + _odd(value))


def _text(field: str, rule: str, wanted: Any, value: Any, schema: dict[str, Any]) -> str:
    hint, shown = schema.get("errorMessage", ""), _value(field, value)
    if rule in ("minimum", "exclusiveMinimum", "maximum"):
        relation = {"minimum": "less than", "exclusiveMinimum": "not more than", "maximum": "more than"}[rule]
        none = (
            "; for none, remove the line"
            if value in (0, -1) and not is_required(field) and "default" not in schema
            else ""
        )
        return f"{shown} is {relation} {wanted}" + (f"; {hint}" if hint else none)
    if rule in ("enum", "const"):
        values = wanted if rule == "enum" else [wanted]
        reason = hint or f"is not one of {', '.join(map(_value_of, values))}"
        bare = [_value_of(item) for item in values if not isinstance(item, str)]
        quoted = isinstance(value, str) and value.lower() in bare
        if quoted:
            return f'"{shown}" is text; remove the quotes'
        if wanted == NONE and isinstance(value, str):
            return f"{shown} {reason}{_example(field, part_of(field))}"
        return f"{shown} {reason}{_close(value, values, field)}"
    if rule == "anyOf":
        return f"{shown} {hint}{_close(value, [item for part in wanted for item in part.get('enum', [])])}"
    if rule in ("minProperties", "minItems"):
        return hint
    if rule == "maxLength":
        return f"is {len(value)} characters long; the limit is {wanted}"
    if rule == "not":
        return f"{shown}: {hint}"
    lower = value.lower() if isinstance(value, str) and rule == "pattern" else value
    case = (
        f"; did you mean {lower}?" if lower != value and field != "name" and re.search(wanted, lower) else ""
    )
    return f"{shown} {hint or f'breaks the rule {rule}'}{_domain(field, value)}{case}"


def _domain(field: str, value: Any) -> str:
    if field != "name" or not isinstance(value, str) or "." not in value:
        return ""
    host, _, domain = value.partition(".")
    if not re.search("[a-z]{2}$", domain) or host != host.lower():
        return ""
    return f"; a domain has a field of its own: set name: {cut(host)} and searchdomain: {cut(domain)}"


def _odd(value: Any) -> str:
    odd = next((char for char in value if char > "\x7f"), "") if isinstance(value, str) else ""
    return f" (U+{ord(odd):04X} is not an ASCII letter)" if odd else ""


def _below(field: str, name: str) -> str:
    return f"{field}.{name}" if field else name


def unknown(name: str, where: str, known: list[str]) -> str:
    """The message for a field that does not exist, in the group `where` ("" for the file itself)."""
    if re.fullmatch(r"ide\d+", name) and where == "disks":
        return "is on a bus that is not supported; disks are scsi0, virtio0, sata0 and so on"
    if where == "disks" and name in ("scsi", "ide", "sata", "virtio"):
        return "is not a disk's slot; write scsi0, scsi1 and so on directly below disks"
    if where == "disks":
        return "is not a disk's slot; disks are scsi0 to scsi30, virtio0 to virtio15 and sata0 to sata5"
    reasons = next((words for pattern, words in _REFUSED.items() if re.match(pattern, where)), {})
    if name in reasons:
        return f"is not supported: {reasons[name]}"
    slot = re.fullmatch(r"(net|ipconfig|hostpci|usb|virtiofs)[1-9]\d*", name)
    if slot and not where:
        return f"is beyond what Terraform's provider can set; the last is {LAST[slot[1]]}"
    meant = [field for field in OTHER_NAMES.get(name.lower(), ()) if field in known]
    close = meant or difflib.get_close_matches(name[:40].lower(), known, 1, 0.75)
    if close:
        return f"unknown field; did you mean {close[0]}?"
    there = ", ".join(known) if len(known) < 20 else "listed in docs/vm-file.md"
    return f"unknown field; the known ones are {there}"


def _example(name: str, schema: dict[str, Any]) -> str:
    name = re.sub(r".*\.", "", name)
    examples = sorted(schema.get("examples", []), key=lambda one: not isinstance(one, dict))
    if not examples or isinstance(examples[0], list):
        return ""
    return f" (for example {name}: {_flow(examples[0])})"


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(one)}" for key, one in value.items()) + "}"
    return json.dumps(value) if isinstance(value, bool) else str(value)


def _wrong_type(field: str, value: Any, schema: dict[str, Any], written: str | None) -> str:
    """`written`: a number as the file has it, where Python would write it otherwise."""
    wanted = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    meant = " or ".join(_WORDS[name] for name in wanted)
    has = written or _value(field, value)
    if isinstance(value, list | dict):
        has = "a list" if isinstance(value, list) else "a group of fields"
    elif isinstance(value, str) and has != "(…)":
        has = f'"{has}"'
    text = f"must be {meant}, not {has}"
    if isinstance(value, str) and "boolean" in wanted and value.lower() in ("true", "false"):
        return f"{text}; remove the quotes"
    if isinstance(value, str) and "integer" in wanted and value.isascii() and value.isdecimal():
        most = schema.get("maximum", int(value[:9]))
        fits = len(value) <= len(str(most)) and int(value) <= most
        return f"{text}; remove the quotes" if fits else f"{text}; the limit is {most}"
    if isinstance(value, str) and "number" in wanted and re.fullmatch(r"[0-9]{1,17}(\.[0-9]{1,17})?", value):
        return f"{text}; remove the quotes"
    if field == "clone" and type(value) is int:
        return f"must be the template's name, as Proxmox shows it, and not its VMID {has}" + _example(
            field, schema
        )
    if isinstance(value, bool | int | float) and "object" in wanted:
        return text + _example(field, schema)
    if isinstance(value, bool | int | float) and "string" in wanted:
        return f'{text}; if it is meant, quote it: "{written or _value_of(value)}"'
    if isinstance(value, str) and wanted == ["array"]:
        return f"{text}; write one entry per line, each after `- `"
    if "integer" in wanted and "errorMessage" in schema:
        return f"{text}; {schema['errorMessage']}"
    return text + _example(field.rpartition(".")[2], schema)


def _close(value: Any, known: list[Any], field: str = "") -> str:
    if isinstance(value, str) and (meant := OTHER_VALUES.get(field, {}).get(value.lower())):
        return f"; did you mean {meant}?"
    names = [item for item in known if isinstance(item, str)]
    folded = {name.lower(): name for name in names}
    close = difflib.get_close_matches(value[:40].lower(), list(folded), 1) if isinstance(value, str) else []
    return f"; did you mean {folded[close[0]]}?" if close else ""


def _value(field: str, value: Any) -> str:
    """A value as a message may show it: short, and no key that was pasted into the wrong place."""
    return "(…)" if field.startswith("sshkeys") else _value_of(value)


def _value_of(value: Any) -> str:
    return cut(value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False))
