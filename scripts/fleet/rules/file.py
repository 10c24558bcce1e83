"""The rules for one VM file that a schema cannot express. They run on unchecked data and trust no type."""

import ipaddress
import re
from collections.abc import Iterable, Iterator
from typing import Any

from fleet.findings import Finding, cut
from fleet.names import is_talos
from fleet.rules import cards, devices, hardware, naming, playbook_vars, source, talos
from fleet.vms import addresses, public_keys, schema, values, violations
from fleet.vms.files import VM
from fleet.vms.machine import MARK

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def check(vm: VM, known: Iterable[Finding] = ()) -> list[Finding]:
    """Everything that is wrong in one file, by its schema and by the rules below.

    `known`: what reading the file found; a value that could not be read safely is not judged again.
    """
    unread = {(found.line, found.col) for found in known if found.path == vm.path and found.line}
    findings = [found for rule in RULES for found in rule(vm) if (found.line, found.col) not in unread]
    named = {(found.line, found.col) for found in findings if found.level == "error"}
    return findings + violations.findings(vm, unread, named)


def strings_are_plain(vm: VM) -> Iterator[Finding]:
    for field, value in _strings(vm.data, ""):
        may_break = field == "description" or field.startswith("playbook_vars.")
        bad = _CONTROL.search(value.replace("\n", "") if may_break else value)
        # Where there must be no text, the schema says what must be there instead.
        if bad and "string" in schema.part_of(field).get("type", "string"):
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


def leased_address_can_be_known(vm: VM) -> Iterator[Finding]:
    text, given = vm.data.get("ipconfig0"), vm.data.get("address")
    config = addresses.parse(text)[0] if isinstance(text, str) else addresses.IPConfig()
    agent = vm.data.get("agent", not is_talos(vm.name))
    agent = agent.get("enabled") if isinstance(agent, dict) else agent
    silent = agent in (False, 0) and not vm.unplayed
    if config.automatic4 and "address" not in vm.data and silent:
        message = (
            "with ip=dhcp in ipconfig0, the guest agent alone knows the machine's address; set agent: true, or give the"
            " address that the DHCP server reserves, as address: 192.168.1.50"
        )
        yield vm.finding("agent", message)
    if not isinstance(given, str):
        return
    if config.ip:
        message = f"needs ip=dhcp in ipconfig0, which has ip={config.ip}; remove this line, or write ip=dhcp"
        yield vm.finding("address", message)
    if problem := addresses.reserved(given)[1]:
        yield vm.finding("address", problem)


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
    *naming.RULES,
    *source.RULES,
    strings_are_plain,
    addresses_are_usable,
    leased_address_can_be_known,
    tags_are_once,
    nameservers_are_addresses,
    keys_are_public,
    description_marks_nothing,
    *hardware.RULES,
    *cards.RULES,
    *devices.RULES,
    *playbook_vars.RULES,
    *talos.RULES,
)
