"""The rules for one VM file that a schema cannot say. Each takes what is there and trusts no type."""

import ipaddress
import re
from collections.abc import Iterable, Iterator
from pathlib import PurePath
from typing import Any

from fleet import names
from fleet.findings import Finding, cut
from fleet.vms import addresses, hardware, public_keys
from fleet.vms import schema as vm_schema
from fleet.vms.files import VM

LABEL = re.compile(r"(?=.{1,63}$)(?=.*[a-z])[a-z0-9]([a-z0-9-]*[a-z0-9])?")

# What generate_tfvars.py adds to a description to know a machine again.
MARK = re.compile(r"^\s*proxmox-gitops:", re.MULTILINE)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def check(vm: VM, known: Iterable[Finding] = ()) -> list[Finding]:
    """All that is wrong in one file, by its schema and by the rules below.

    `known`: what reading it found; what could not be read safely is not judged for what was read instead.
    """
    unread = {(found.line, found.col) for found in known if found.path == vm.path and found.line}
    findings = [found for rule in RULES for found in rule(vm) if (found.line, found.col) not in unread]
    named = {(found.line, found.col) for found in findings if found.level == "error"}
    return findings + vm_schema.findings(vm, unread, named)


def name_is_the_files(vm: VM) -> Iterator[Finding]:
    name, stem = vm.data.get("name"), PurePath(vm.path).stem
    if not isinstance(name, str) or not LABEL.fullmatch(name):
        return  # the schema says so
    if name != stem:
        way_out = f"call the file {name}.yaml" + (f" or set name: {stem}" if LABEL.fullmatch(stem) else "")
        message = f"name is {name}, but the file is called {cut(stem)}.yaml, and a renamed file must"
        yield vm.finding("name", f"{message} not destroy a machine; {way_out}")
    if name in names.RESERVED:
        yield vm.finding("name", f"the name {name} means something else to Ansible; choose another")
    elif name in names.GROUPS:
        message = (
            f"the machine {name} is called like the inventory's group; a name such as {name}-1 is clearer"
        )
        yield vm.finding("name", message, "warning")


def strings_are_plain(vm: VM) -> Iterator[Finding]:
    for field, value in _strings(vm.data, ""):
        bad = _CONTROL.search(value.replace("\n", "") if field == "description" else value)
        if bad:
            message = f"{field} holds the control character U+{ord(bad[0]):04X}; remove it"
            if bad[0] == "\n":
                message = f"{field} holds a line break; write it in one line"
            yield vm.finding(field, message)


def _strings(value: Any, field: str) -> Iterator[tuple[str, str]]:
    if type(value) is str:
        yield field, value
    elif type(value) is dict:
        for key, child in value.items():
            yield from _strings(child, f"{field}.{key}" if field else key)
    elif type(value) is list:
        for index, child in enumerate(value):
            yield from _strings(child, f"{field}.{index}")


def addresses_are_usable(vm: VM) -> Iterator[Finding]:
    text = vm.data.get("ipconfig0")
    if not isinstance(text, str):
        return
    config, problems = addresses.parse(text)
    for problem in problems:
        yield vm.finding("ipconfig0", problem)
    if config.ip6 and vm.data.get("skip_ipv6") is True:
        message = f"skip_ipv6 contradicts ip6={config.ip6} in ipconfig0; remove one of them"
        yield vm.finding("skip_ipv6", message)


def tags_are_once(vm: VM) -> Iterator[Finding]:
    tags = vm.data.get("tags")
    found = re.split(r"[;, ]+", tags) if isinstance(tags, str) else tags
    seen: set[str] = set()
    for tag in found if isinstance(found, list) else []:
        if isinstance(tag, str) and tag:
            if tag.lower() in seen:
                yield vm.finding("tags", f"tag {cut(tag)} stands twice; Proxmox ignores upper and lower case")
            seen.add(tag.lower())


def nameservers_are_addresses(vm: VM) -> Iterator[Finding]:
    value = vm.data.get("nameserver")
    servers = re.split(r"[ ,;]+", value.strip()) if isinstance(value, str) else value
    for server in servers if isinstance(servers, list) else []:
        if isinstance(server, str):
            try:
                ipaddress.ip_address(server if "%" not in server else "")
            except ValueError:
                message = f"nameserver {cut(server) or '(empty)'} is no address; give its IP address"
                yield vm.finding("nameserver", message)


def keys_are_public(vm: VM) -> Iterator[Finding]:
    keys = vm.data.get("sshkeys")
    for index, key in enumerate(keys if isinstance(keys, list) else []):
        if isinstance(key, str) and (problem := public_keys.problem_of(key)):
            yield vm.finding(f"sshkeys.{index}", f"entry {index + 1} of sshkeys {problem}")


def description_marks_nothing(vm: VM) -> Iterator[Finding]:
    text = vm.data.get("description")
    if isinstance(text, str) and MARK.search(text):
        message = "a line of description starts with proxmox-gitops:, by which machines are known; change it"
        yield vm.finding("description", message)


RULES = (
    name_is_the_files,
    strings_are_plain,
    addresses_are_usable,
    tags_are_once,
    nameservers_are_addresses,
    keys_are_public,
    description_marks_nothing,
    *hardware.RULES,
)
