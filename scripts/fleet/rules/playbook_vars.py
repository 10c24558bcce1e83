"""The rules for the variables that a VM file gives its plays: names, templates, secrets."""

import keyword
import re
from collections.abc import Iterator
from typing import Any

from fleet.findings import Finding
from fleet.vms import values
from fleet.vms.files import VM

FIELD = "playbook_vars"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
# What Ansible, the run or the inventory says of a machine; `ansible_…` too.
TAKEN = frozenset(
    {"disk_mounts", "environment", "group_names", "groups", "hostvars", "inventory_dir", "inventory_file",
     "inventory_hostname", "inventory_hostname_short", "omit", "play_hosts", "playbook_dir", "playbook_vars_are_given",
     "role_name", "role_names", "role_path", "target_hosts", "vars", "vault_addr", "vault_token"}
)  # fmt: skip
# Whom the controller asks, with the run's own token: another address would be given that token. These are the roles'
# names for it, as k3s_vault_addr.
_ASKED = re.compile(r"\w+_vault_(addr|token)|reboot_(endpoint|api_token|insecure)")
# The last word of a name under which a plain text would be a secret in Git, or may be one.
SECRET = {"password", "passwd", "passphrase", "secret", "token", "credentials", "credential"}
PERHAPS = {"key", "pass", "pin"}
WAY_OUT = "write it to Vault and name its place here, as vault:kv/playbooks/myapp#password"


def check(vm: VM) -> Iterator[Finding]:
    """What is wrong with the variables alone. Of a field with another type the schema says so."""
    if "playbook_vars" in vm.data and not vm.playbook_vars:
        yield vm.finding(
            FIELD, "is not a group of variables, or has none; write NAME: VALUE below it, or remove it"
        )
    for rule in RULES:
        yield from rule(vm)


def names_are_free(vm: VM) -> Iterator[Finding]:
    for name in vm.playbook_vars:
        if name in TAKEN or name.lower().startswith("ansible_") or _ASKED.fullmatch(name):
            message = "is not for a VM file to say: Ansible, the run or the inventory does; remove it"
        elif not _NAME.fullmatch(name) or keyword.iskeyword(name):
            message = "is not a variable's name: use letters, digits and _, not beginning with a digit"
        else:
            continue
        yield vm.finding(f"{FIELD}.{name}", message)


def values_are_plain(vm: VM) -> Iterator[Finding]:
    for field, name, value in leaves(vm.playbook_vars, FIELD, ""):
        if field in vm.lines.written:
            message = f"would become the number {value}; if it is text, such as a version, quote it"
            yield vm.finding(field, message)
        if not isinstance(value, str):
            continue
        if any(sign in value for sign in ("{{", "{%", "{#")):
            message = (
                "has a template, which is not evaluated here; put it into the role's defaults or group_vars"
            )
            yield vm.finding(field, message)
        if value.startswith("vault:"):
            if not values.reference(value):
                message = (
                    "is not a place in Vault that a playbook may read; expected vault:kv/playbooks/PATH#KEY"
                )
                yield vm.finding(field, message)
        elif value and (level := _suspicion(name)):
            doubt = "looks like a secret by its name, and would be readable in Git"
            yield vm.finding(field, f"{doubt}: {WAY_OUT}", level)


def _suspicion(name: str) -> str:
    """The level of a finding for a text of this name; "" for none."""
    words = re.split(r"[^a-z0-9]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower())
    if words[-1] in SECRET:
        return "error"
    return "warning" if words[-1] in PERHAPS and "public" not in words else ""


def leaves(value: Any, field: str, name: str) -> Iterator[tuple[str, str, Any]]:
    """Every single value: its field, the name that it goes by (a list's entries by that of the list), the value."""
    if isinstance(value, dict):
        for key, child in value.items():
            yield from leaves(child, f"{field}.{key}", str(key))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from leaves(child, f"{field}.{index}", name)
    else:
        yield field, name, value


RULES = (names_are_free, values_are_plain)
