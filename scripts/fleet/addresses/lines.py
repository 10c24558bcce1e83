"""The inventory of the machines that a role made, as text: one line for each, which says whose it is."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from fleet.findings import Fault
from fleet.proxmox import properties

MARK = "# Written by scripts/generate_inventory.py"
GROUP = "proxmox_vms"  # no machine can be called so
USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_LINE = re.compile(r"(\S+) (?:.* )?ansible_host=(\S+).*# vmid=(\d+) mac=(\S*) instance=(\S+)\s*")
# Of these Proxmox makes the instance of cloud-init, at whose first boot a machine makes its host keys.
_INSTANCE = re.compile(r"name|ci\w+|sshkeys|nameserver|searchdomain|ipconfig\d+")
_CARD = re.compile(r"net\d+")


class Line(NamedTuple):
    name: str
    address: str
    vmid: int
    mac: str
    instance: str
    text: str

    @property
    def user(self) -> str:
        found = re.search(r" ansible_user=(\S+)", self.text)
        return found[1] if found else ""


def line(name: str, address: str, vmid: int, mac: str, config: Mapping[str, Any]) -> Line:
    """The line of a machine with this configuration; a user that cannot stand there is left out."""
    user = str(config.get("ciuser") or "")
    login = f" ansible_user={user}" if USER.fullmatch(user) else ""
    instance = _instance(config)
    text = f"{name} ansible_host={address}{login}  # vmid={vmid} mac={mac} instance={instance}"
    return Line(name, address, vmid, mac, instance, text)


def read(text: str, path: str) -> dict[int, Line]:
    """The lines by VMID. Raises Fault for a file that somebody else wrote."""
    if text.strip() and not text.startswith(MARK):
        raise Fault("was not written by generate_inventory.py, which would replace it; move it away", path)
    found = (_LINE.fullmatch(each) for each in text.splitlines())
    lines = [Line(one[1], one[2], int(one[3]), one[4], one[5], one[0].rstrip()) for one in found if one]
    return {each.vmid: each for each in lines}


def render(lines: Mapping[int, Line], known_hosts: str) -> str:
    """The file. `known_hosts` is the name of the record beside it: Ansible talks to no machine whose key is not there.

    The variable is the group's and not that of all machines, for whoever gives Ansible the fleet's inventory too.
    """
    record = f"""-o 'UserKnownHostsFile="{{{{ inventory_dir }}}}/{known_hosts}"'"""
    head = f"{MARK}, which replaces it: the machines that the role proxmox_vm made."
    variable = f"ansible_ssh_common_args=-o StrictHostKeyChecking=yes {record}"
    python = "ansible_python_interpreter=auto_silent"  # no warning for each machine
    ordered = sorted(lines.values(), key=lambda each: (each.name, each.vmid))
    texts = [each.text for each in ordered]
    return "\n".join([head, "", f"[{GROUP}]", *texts, "", f"[{GROUP}:vars]", python, variable, ""])


def _instance(config: Mapping[str, Any]) -> str:
    """As long as this stays, the machine's host keys stay."""
    parts = {key: str(value) for key, value in config.items() if _INSTANCE.fullmatch(key)}
    parts |= {key: properties.mac(str(value)) for key, value in config.items() if _CARD.fullmatch(key)}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]
