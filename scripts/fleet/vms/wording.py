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

_WORDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a group of fields, each indented on a line of its own",
}


# Fields that people know from elsewhere, and why a VM file does not have them.
_ROOT = "Proxmox lets root@pam alone set it, never a token; set it there, and it stays"
REFUSED = {
    **dict.fromkeys(
        ("args", "affinity", "hookscript", "hook_script", "hugepages", "kvm_arguments", "lock"), _ROOT
    ),
    "os_type": "every machine is configured by cloud-init, unless its file says cloudinit: none",
    "ssd": "it is an option of a disk; write it there, as scsi0: {size: 20G, ssd: true}",
    "discard": "it is an option of a disk; write it there, as scsi0: {size: 20G, discard: true}",
    "iothread": "it is an option of a disk; write it there, as scsi0: {size: 20G, iothread: true}",
    "queues": "it is an option of a card; write it there, as network: {queues: 4}",
}
# The last slot of each kind.
LAST = {
    "net": "net31",
    "ipconfig": "ipconfig7",
    "hostpci": "hostpci15",
    "usb": "usb3",
    "virtiofs": "virtiofs7",
}
_MEANT = {"macaddr": ("mac", "mac_address"), "tag": ("vlan", "vlan_id"), "description": ("desc", "notes")}
_MEANT |= {
    "target_node": ("node", "node_name"),
    "clone": ("template",),
    "ciuser": ("user",),
    "vmid": ("vm_id",),
}
_MEANT |= {"cpu_type": ("cpu",), "sshkeys": ("ssh_keys", "ssh_public_keys"), "protection": ("protected",)}
_MEANT |= {
    "disks": ("nested_disks", "disk"),
    "memory": ("ram", "mem"),
    "ipconfig0": ("ip", "ipconfig"),
    "mount": ("mountpoint", "path"),
}
_MEANT |= {
    "network": ("net0", "net", "network_device"),
    "efidisk": ("efidisk0", "efi_disk"),
    "tpmstate": ("tpmstate0", "tpm_state", "tpm"),
    "ostype": ("qemu_os", "os", "operating_system"),
    "ha": ("hastate", "hagroup"),
    "cpu_flags": ("flags",),
    "cpulimit": ("cpu_limit",),
    "cpuunits": ("cpu_units",),
    "balloon": ("floating", "balloon_min"),
    "cicustom": ("user_data_file_id", "vendor_data_file_id", "snippets"),
    "keyboard": ("keyboard_layout",),
    "tablet": ("tablet_device",),
    "rng0": ("rng",),
    "address": ("ip_address",),
    "cdrom": ("iso",),
}
OTHER_NAMES = {other: field for field, others in _MEANT.items() for other in others}


def where(error: Any) -> str:
    """The field of an error of jsonschema's, as `disks.scsi0.size`."""
    return ".".join(str(step) for step in error.absolute_path)


def tell(vm: VM, error: Any, required: bool = False) -> Iterator[Finding]:
    """The findings for one error of jsonschema's; `required`: whether the file needs the field."""
    field, rule, wanted, value = where(error), error.validator, error.validator_value, error.instance
    if rule == "required":
        for name in wanted:
            if name not in value:
                yield vm.finding(
                    _below(field, name), f"is missing{_example(name, error.schema['properties'][name])}"
                )
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
        return f"{shown} is {relation} {wanted}" + (f"; {hint}" if hint else "")
    if rule in ("enum", "const"):
        values = wanted if rule == "enum" else [wanted]
        reason = hint or f"is not one of {', '.join(map(_value_of, values))}"
        bare = [_value_of(item) for item in values if not isinstance(item, str)]
        quoted = isinstance(value, str) and value.lower() in bare
        return f"{shown} {reason}{'; remove the quotes' if quoted else _close(value, values)}"
    if rule == "anyOf":
        return f"{shown} {hint}{_close(value, [item for part in wanted for item in part.get('enum', [])])}"
    if rule in ("minProperties", "minItems"):
        return hint
    if rule == "maxLength":
        return f"is {len(value)} characters long; the limit is {wanted}"
    if rule == "not":
        return f"{shown}: {hint}"
    return f"{shown} {hint or f'breaks the rule {rule}'}{_domain(field, value)}"


def _domain(field: str, value: Any) -> str:
    if field != "name" or not isinstance(value, str) or "." not in value:
        return ""
    host, _, domain = value.partition(".")
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
    reason = REFUSED.get(name) if not where else None
    if reason:
        return f"is not supported: {reason}"
    if (slot := re.fullmatch(r"(net|ipconfig|hostpci|usb|virtiofs)\d+", name)) and not where:
        return f"is beyond what Terraform's provider can set; the last is {LAST[slot[1]]}"
    if re.match("hostpci|usb", where) and name in ("host", "id", "device", "romfile", "rom_file"):
        return "is not supported: no token can give a machine a device by its address; name a mapping of the datacenter"
    guess = OTHER_NAMES.get(name.lower())
    close = [guess] if guess in known else difflib.get_close_matches(name[:40].lower(), known, 1)
    if close:
        return f"unknown field; did you mean {close[0]}?"
    there = ", ".join(known) if len(known) < 10 else "listed in docs/vm-file.md"
    return f"unknown field; the known ones are {there}"


def _example(name: str, schema: dict[str, Any]) -> str:
    example = next(iter(schema.get("examples", [])), {})
    return (
        ""
        if isinstance(example, dict | list)
        else f" (for example {name}: {json.dumps(example) if isinstance(example, bool) else example})"
    )


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
        most = schema.get("maximum", 0)
        fits = len(value) <= len(str(most)) and int(value) <= most
        return f"{text}; remove the quotes" if fits else f"{text}; the limit is {most}"
    if isinstance(value, str) and "number" in wanted and re.fullmatch(r"[0-9]{1,17}(\.[0-9]{1,17})?", value):
        return f"{text}; remove the quotes"
    if field == "clone" and type(value) is int:
        return f"must be the template's name, as Proxmox shows it, and not its VMID {has}" + _example(
            field, schema
        )
    if isinstance(value, bool | int | float) and "string" in wanted:
        return f'{text}; if it is meant, quote it: "{written or _value_of(value)}"'
    if isinstance(value, str) and wanted == ["array"]:
        return f"{text}; write one entry per line, each after `- `"
    if "integer" in wanted and "errorMessage" in schema:
        return f"{text}; {schema['errorMessage']}"
    return text + _example(field.rpartition(".")[2], schema)


def _close(value: Any, known: list[Any]) -> str:
    names = [item for item in known if isinstance(item, str)]
    folded = {name.lower(): name for name in names}
    close = difflib.get_close_matches(value[:40].lower(), list(folded), 1) if isinstance(value, str) else []
    return f"; did you mean {folded[close[0]]}?" if close else ""


def _value(field: str, value: Any) -> str:
    """A value as a message may show it: short, and no key that was pasted into the wrong place."""
    return "(…)" if field.startswith("sshkeys") else _value_of(value)


def _value_of(value: Any) -> str:
    return cut(value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False))
