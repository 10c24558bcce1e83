"""VM files against schemas/vm.schema.json, and what to say of a field that breaks it."""

import difflib
import functools
import json
import re
from collections.abc import Container, Iterator
from typing import Any

from fleet import paths
from fleet.findings import Finding, cut
from fleet.vms import quick_schema
from fleet.vms.files import VM

_WORDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a group of fields, each indented on a line of its own",
}

# Why a field that people know from elsewhere is not offered.
REFUSED = {
    "cipassword": "a password here would be a secret in Git; log in with sshkeys",
    "cicustom": "cloud-init takes its data from the fields of this file; leave the rest to Ansible",
    "ipconfig1": "one network card is offered; set up others with Ansible",
    "balloon": "every machine has the memory that it is given; there is no ballooning",
    "bios": "the template decides it",
    "machine": "the template decides it",
    "vga": "the template decides it",
    "numa": "the template decides it",
    "hotplug": "the template decides it",
    "os_type": "every machine is set up by cloud-init",
    "qemu_os": "every machine is of the type l26, Linux",
    "hastate": "high availability is set up in Proxmox",
    "startup": "the order of starting is set up in Proxmox",
    "ssd": "every disk is shown as an SSD",
    "discard": "every disk passes discard on",
    "iothread": "every disk has an I/O thread",
}
_MEANT = {"macaddr": ("mac", "mac_address"), "tag": ("vlan", "vlan_id"), "description": ("desc", "notes")}
_MEANT |= {
    "target_node": ("node", "node_name"),
    "clone": ("template",),
    "ciuser": ("user",),
    "vmid": ("vm_id",),
}
_MEANT |= {"cpu_type": ("cpu",), "sshkeys": ("ssh_keys", "ssh_public_keys"), "protection": ("protected",)}
_MEANT |= {"memory": ("ram", "mem"), "ipconfig0": ("ip", "ipconfig"), "mount": ("mountpoint", "path")}
_OTHER_NAMES = {other: field for field, others in _MEANT.items() for other in others}


@functools.cache
def schema() -> dict[str, Any]:
    return json.loads(paths.SCHEMA.read_bytes())


@functools.cache
def compiled() -> quick_schema.Check:
    return quick_schema.compile_schema(schema(), schema())


def findings(
    vm: VM, unread: Container[tuple[int, int]] = (), named: Container[tuple[int, int]] = ()
) -> list[Finding]:
    """What the schema finds wrong in one file, each named once and with the way out.

    `unread`: places whose values could not be read; `named`: places of which a rule said what is wrong.
    """
    if compiled()(vm.data):
        return []
    errors = list(_validator().iter_errors(vm.data))
    # What has the wrong type breaks other rules only because of that.
    mistyped = {_where(error) for error in errors if error.validator == "type"}

    def is_told(error: Any) -> bool:
        rule, where = error.validator, _where(error)
        if rule in ("required", "additionalProperties"):
            return True
        place = vm.finding(where, "")[2:4]
        if place in unread or (where in mistyped and rule != "type"):
            return False
        # A rule names what is wrong with a text better than a pattern does, but of these it sees a part only.
        worse = rule == "pattern" or (rule == "type" and "string" in error.validator_value)
        return not worse or place not in named or where in ("boot", "tags")

    return list(dict.fromkeys(finding for error in filter(is_told, errors) for finding in _tell(vm, error)))


@functools.cache
def _validator() -> Any:
    import jsonschema

    # 4.0 is an integer to JSON Schema, and no number of cores to Terraform.
    types = jsonschema.Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: type(value) is int
    )
    return jsonschema.validators.extend(jsonschema.Draft202012Validator, type_checker=types)(schema())


def _where(error: Any) -> str:
    return ".".join(str(step) for step in error.absolute_path)


def _tell(vm: VM, error: Any) -> Iterator[Finding]:
    where = _where(error)
    rule, wanted, value = error.validator, error.validator_value, error.instance
    hint = error.schema.get("errorMessage", "")
    if rule == "required":
        for name in wanted:
            if name not in value:
                example = _example(name, error.schema["properties"][name])
                yield vm.finding(where, f"{name}{f' of {where}' if where else ''} is missing{example}")
        return
    if rule == "additionalProperties":
        known = error.schema.get("properties", {})
        patterns = error.schema.get("patternProperties", {})
        for name in value:
            if name not in known and not any(re.search(pattern, name) for pattern in patterns):
                place = f"{where}.{name}" if where else name
                yield vm.finding(place, unknown(name, where, list(known)))
        return
    shown = f"{where} {_value(where, value)}"
    if rule == "type":
        text = _wrong_type(where, value, error.schema)
    elif rule in ("minimum", "exclusiveMinimum", "maximum"):
        relation = {"minimum": "less than", "exclusiveMinimum": "not more than", "maximum": "more than"}[rule]
        text = f"{shown} is {relation} {wanted}" + (f"; {hint}" if hint else "")
    elif rule in ("enum", "const"):
        wanted = wanted if rule == "enum" else [wanted]
        reason = hint or f"is none of {', '.join(map(_value_of, wanted))}"
        bare = [_value_of(item) for item in wanted if not isinstance(item, str)]
        quoted = isinstance(value, str) and value.lower() in bare
        text = f"{shown} {reason}{'; remove the quotes' if quoted else _close(value, wanted)}"
    elif rule == "anyOf":
        text = f"{shown} {hint}{_close(value, [item for part in wanted for item in part.get('enum', [])])}"
    elif rule in ("minProperties", "minItems"):
        text = f"{where} {hint}"
    elif rule == "maxLength":
        text = f"{where} has {len(value)} characters, and {wanted} are the most"
    else:
        text = (
            f"{shown}: {hint}" if hint and rule == "not" else f"{shown} {hint or f'breaks the rule {rule}'}"
        )
    if isinstance(value, str) and (odd := next((char for char in value if char > "\x7f"), "")):
        text += f" (it has U+{ord(odd):04X}, which is no ASCII letter)"
    yield vm.finding(where, text)


def unknown(name: str, where: str, known: list[str]) -> str:
    """What to say of a field that does not exist."""
    inside = f" in {where}" if where else ""
    if re.fullmatch(r"(ide|sata|virtio)\d+", name) and where == "disks":
        return f"disk {name} cannot be on this bus; disks are scsi0, scsi1 and so on"
    if where == "disks":
        return f"disk {cut(name)} has no such slot; disks are scsi0 to scsi30"
    reason = REFUSED.get(re.sub(r"(?<=^ipconfig)[1-9][0-9]?$", "1", name))
    if reason:
        return f"field {name}{inside} is refused: {reason}"
    guess = _OTHER_NAMES.get(name.lower())
    close = [guess] if guess in known else difflib.get_close_matches(name[:40].lower(), known, 1)
    if close:
        return f"unknown field {cut(name)}{inside}; did you mean {close[0]}?"
    there = ", ".join(known) if len(known) < 10 else "those of schemas/vm.schema.json"
    return f"unknown field {cut(name) or '(empty)'}{inside}; known are {there}"


def _example(name: str, schema: dict[str, Any]) -> str:
    example = next(iter(schema.get("examples", [])), {})
    return "" if isinstance(example, dict | list) else f" (such as {name}: {example})"


def _wrong_type(where: str, value: Any, schema: dict[str, Any]) -> str:
    wanted = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    meant = " or ".join(_WORDS[name] for name in wanted)
    if value is None:
        return f"{where} has no value; give it one or remove the line"
    kind = next(name for name, test in quick_schema.TYPES.items() if test(value))
    has = _value(where, value)
    if kind in ("array", "object"):
        has = {"array": "a list", "object": "a group of fields"}[kind]
    elif kind == "string" and has != "(…)":
        has = f'"{has}"'
    text = f"{where} must be {meant}, not {has}"
    if kind == "string" and "boolean" in wanted and value.lower() in ("true", "false"):
        return f"{text}; remove the quotes"
    if kind == "string" and "integer" in wanted and value.isdecimal():
        return f"{text}; remove the quotes"
    if kind in ("integer", "number", "boolean") and "string" in wanted:
        return f'{text}; if it is meant, quote it: "{_value_of(value)}"'
    if kind == "string" and wanted == ["array"]:
        return f"{text}; write one entry per line, each after `- `"
    if "integer" in wanted and "errorMessage" in schema:
        return f"{text}; {schema['errorMessage']}"
    return text + _example(where.rpartition(".")[2], schema)


def _close(value: Any, known: list[Any]) -> str:
    names = [item for item in known if isinstance(item, str)]
    folded = {name.lower(): name for name in names}
    close = difflib.get_close_matches(value[:40].lower(), list(folded), 1) if isinstance(value, str) else []
    return f"; did you mean {folded[close[0]]}?" if close else ""


def _value(where: str, value: Any) -> str:
    """A value as a message may show it: short, and no key that was pasted into the wrong place."""
    return "(…)" if where.startswith("sshkeys") else _value_of(value)


def _value_of(value: Any) -> str:
    return cut(value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False))
