"""What Ansible would really use for the managed machines, held against what their lines say."""

from collections.abc import Mapping
from typing import Any

from fleet.ansible.compare import TERRAFORMS
from fleet.ansible.host import OLDER, used
from fleet.ansible.inventory import Inventory
from fleet.findings import Finding, cut


def overridden(
    inventory: Inventory, variables: Mapping[str, Mapping[str, Any]], path: str = ""
) -> dict[str, Finding]:
    """Each managed machine for which Ansible would use something else than its line says, with an error.

    A play for it would reach another machine, or log in as somebody else. `variables`: every host to those
    that Ansible sees, its groups' among them.
    """
    found: dict[str, Finding] = {}
    for name, host in inventory.managed().items():
        seen = used(variables.get(name, {}))
        for key in TERRAFORMS:
            wanted = host.variables.get(key)
            given = str(seen.get(key, "none"))
            if wanted is None or given == wanted:
                continue
            place, line = _origin(inventory, name, key, given) if key in seen else ("", 0)
            message = (
                f"Ansible sees no {key} of {name}, though the line says {wanted}"
                if not place
                else f"Ansible would use {key}={cut(given)} for {name}, set {place}, instead of {wanted} on line"
                f" {host.line + 1}; take it out there, or change vms/{name}.yaml"
            )
            found.setdefault(name, Finding(message, path, line or host.line + 1))
    return found


def _origin(inventory: Inventory, name: str, key: str, value: str) -> tuple[str, int]:
    """Where a variable of a host gets its value, in words and as a line; 0 when no line of the file sets it."""
    keys = {key, *(older for older, today in OLDER.items() if today == key)}
    for host in inventory.hosts:
        here = used(host.variables).get(key)
        if name in host.names and here == value and not (host.managed and host.variables.get(key) == value):
            return "here", host.line + 1
    for index, (text, _) in enumerate(inventory.lines):
        left, _, right = text.partition("=")
        if left.strip() in keys and right.split("#")[0].strip().strip("'\"") == value:
            return "here for its group", index + 1
    return "in group_vars or host_vars", 0
