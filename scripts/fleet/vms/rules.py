"""The rules for one VM file that a schema cannot express. They run on unchecked data and trust no type."""

import ipaddress
import re
from collections.abc import Iterable, Iterator
from pathlib import PurePath
from typing import Any

from fleet import names
from fleet.findings import Finding, cut
from fleet.vms import addresses, hardware, public_keys, schema, strict_yaml, values
from fleet.vms.files import VM
from fleet.vms.machine import MARK

LABEL = re.compile(r"(?=.{1,63}$)(?=.*[a-z])[a-z0-9]([a-z0-9-]*[a-z0-9])?")

# The end of a name that is usual for a machine of a larger cluster.
_MEMBER = re.compile(r"-(?:cp|control-?plane|controller|master|server|etcd|w|worker|node|minion|agent)-?\d+$")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def check(vm: VM, known: Iterable[Finding] = ()) -> list[Finding]:
    """Everything that is wrong in one file, by its schema and by the rules below.

    `known`: what reading the file found; a value that could not be read safely is not judged again.
    """
    unread = {(found.line, found.col) for found in known if found.path == vm.path and found.line}
    findings = [found for rule in RULES for found in rule(vm) if (found.line, found.col) not in unread]
    named = {(found.line, found.col) for found in findings if found.level == "error"}
    return findings + schema.findings(vm, unread, named)


def name_is_the_files(vm: VM) -> Iterator[Finding]:
    name, stem = vm.data.get("name"), PurePath(vm.path).stem
    if not isinstance(name, str) or not LABEL.fullmatch(name):
        return  # the schema reports it
    if name != stem:
        way_out = f"call the file {name}.yaml" + (f" or set name: {stem}" if LABEL.fullmatch(stem) else "")
        message = (
            f"is {name}, but the file is called {cut(stem)}.yaml; renaming a file must not destroy a machine"
        )
        yield vm.finding("name", f"{message}: {way_out}")
    if name in names.RESERVED:
        yield vm.finding("name", f"{name} has a meaning of its own in Ansible; choose another name")
    elif name in names.GROUPS:
        message = f"{name} is also the name of an inventory group; a name such as {name}-1 is clearer"
        yield vm.finding("name", message, "warning")


def name_is_no_members(vm: VM) -> Iterator[Finding]:
    """A warning for a name that elsewhere means a member of a cluster, but is none by the table of names."""
    name, kind = str(vm.data.get("name")), names.kind_of(str(vm.data.get("name")))
    first = name.split("-")[0]
    numbered = [pattern for one in names.KINDS for pattern in one.patterns if "<n>" in pattern]
    meant = [pattern for pattern in numbered if pattern.split("-")[0] == first]
    if not _MEMBER.search(name) or not meant or (kind and kind.patterns[0] in numbered):
        return
    message = (
        f"{name} is {kind.description if kind else 'in no group'}; members of a larger cluster are called"
    )
    yield vm.finding("name", f"{message} {' and '.join(meant)}, where * is the cluster's name", "warning")


def strings_are_plain(vm: VM) -> Iterator[Finding]:
    for field, value in _strings(vm.data, ""):
        if "string" not in schema.part_of(field).get("type", "string"):
            continue  # the schema says what must be there instead of text
        bad = _CONTROL.search(value.replace("\n", "") if field == "description" else value)
        if bad:
            message = f"contains the control character U+{ord(bad[0]):04X}; remove it"
            if bad[0] == "\n":
                message = "contains a line break; write it on one line"
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


def cloud_init_reads_text(vm: VM) -> Iterator[Finding]:
    """Proxmox writes host name and user into cloud-init's YAML without quotes."""
    for field in ("name", "ciuser"):
        value = vm.data.get(field)
        if isinstance(value, str) and re.search("[a-z]", value) and not strict_yaml.is_text(value):
            message = (
                f"{cut(value)} is not text to cloud-init, which gets it without quotes; choose another name"
            )
            yield vm.finding(field, message)


def addresses_are_usable(vm: VM) -> Iterator[Finding]:
    text = vm.data.get("ipconfig0")
    if not isinstance(text, str):
        return
    config, problems = addresses.parse(text)
    for problem in problems:
        yield vm.finding("ipconfig0", problem)
    for own, gateway in config.distant_gateways:
        message = (
            f"gateway {gateway} is outside {own}, which cloud-init before 23.1 does not make reachable; the template"
            " needs that version or a newer one"
        )
        yield vm.finding("ipconfig0", message, "notice")
    if config.ip6 and vm.data.get("skip_ipv6") is True:
        message = f"contradicts ip6={config.ip6} in ipconfig0; remove one of the two"
        yield vm.finding("skip_ipv6", message)


def tags_are_once(vm: VM) -> Iterator[Finding]:
    seen: set[str] = set()
    for tag in values.words(vm.data.get("tags")):
        if isinstance(tag, str):
            if tag.lower() in seen:
                message = f"{cut(tag)} is listed twice (Proxmox ignores case); keep one"
                yield vm.finding("tags", message)
            seen.add(tag.lower())


def nameservers_are_addresses(vm: VM) -> Iterator[Finding]:
    for server in values.words(vm.data.get("nameserver")):
        if isinstance(server, str):
            try:
                ipaddress.ip_address(server if "%" not in server else "")
            except ValueError:
                message = f"{cut(server) or '(empty)'} is not an IP address; give the server's IP address"
                yield vm.finding("nameserver", message)


def keys_are_public(vm: VM) -> Iterator[Finding]:
    keys = vm.data.get("sshkeys")
    for index, key in enumerate(keys if isinstance(keys, list) else []):
        if isinstance(key, str) and (problem := public_keys.problem_of(key)):
            yield vm.finding(f"sshkeys.{index}", problem)


def description_marks_nothing(vm: VM) -> Iterator[Finding]:
    text = vm.data.get("description")
    if isinstance(text, str) and MARK.search(text):
        message = "a line starts with proxmox-gitops:, which marks machines of this project; change it"
        yield vm.finding("description", message)


RULES = (
    name_is_the_files,
    name_is_no_members,
    strings_are_plain,
    cloud_init_reads_text,
    addresses_are_usable,
    tags_are_once,
    nameservers_are_addresses,
    keys_are_public,
    description_marks_nothing,
    *hardware.RULES,
)
