"""How to reach machines: address, port, user and key, as Ansible would take them."""

from collections.abc import Iterable
from pathlib import Path

from fleet.ansible import command as ansible
from fleet.ansible.applied import overridden
from fleet.ansible.by_hand import misplaced, unplayed
from fleet.ansible.host import used
from fleet.ansible.inventory import parse
from fleet.files import read_text
from fleet.findings import Finding
from fleet.hosts import talos
from fleet.hosts.ssh import Target
from fleet.names import is_talos
from fleet.paths import VMS_DIR, shown


def targets(names: Iterable[str], inventory: Path) -> tuple[list[Target], list[Finding]]:
    """How to reach machines, as Ansible sees them, and a finding for each that it would not see as its line says."""
    lines = parse(read_text(inventory))
    marks = lines.variables()
    variables, found = ansible.host_variables(inventory)
    elsewhere = overridden(lines, variables, shown(inventory))
    wanted: list[Target] = []
    for name in names if not found else ():
        if refused := unplayed(name, inventory.parent / VMS_DIR.name):
            found.append(refused)
            continue
        if name not in variables:
            found.append(Finding(f"{name} is not in the inventory", shown(inventory)))
            continue
        if name in elsewhere:
            found.append(elsewhere[name])
            continue
        own = used(variables[name])
        address = str(own.get("ansible_host", name))
        if wrong := misplaced(lines, name, address, inventory.parent / VMS_DIR.name, shown(inventory)):
            found.append(wrong)
            continue
        port = str(own.get("ansible_port", 22))
        if not port.isdecimal():
            found.append(Finding(f"{name} has port {port!r}, which is not a number", shown(inventory)))
            continue
        wanted.append(
            Target(
                name,
                address,
                int(port),
                str(own.get("ansible_user", "")),
                marks.get(name, {}).get("instance", ""),
                str(own.get("ansible_ssh_private_key_file", own.get("ansible_private_key_file", ""))),
                talos.CONNECTION if is_talos(name) else str(own.get("ansible_connection", "ssh")),
            )
        )
    return wanted, found
