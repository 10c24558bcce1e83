"""Machines that Proxmox's HA manager places: the node where one runs is the manager's to choose."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from fleet.console import note
from fleet.findings import Finding
from fleet.proxmox.client import Client, Guest
from fleet.proxmox.errors import Refused
from fleet.vms.hardware import HA, NONE
from fleet.vms.machine import Machine


def placed(
    machines: Mapping[str, Machine], vmids: Mapping[str, int], cluster: Iterable[Guest]
) -> dict[str, Machine]:
    """The machines, each that HA manages on the node where it is; `vmids`: those of the machines that exist.

    Moved back at every push, a machine would never stay where the manager put it, and moving it asks for a right
    (Sys.Console) that the token does not have.
    """
    guests = {guest.vmid: guest for guest in cluster if guest.ha}
    found = dict(machines)
    for name, one in machines.items():
        guest = guests.get(vmids.get(name, 0))
        if guest and guest.node != one.target_node:
            note(f"{name}: stays on {guest.node}, where HA keeps it; its file says {one.target_node}")
            found[name] = one._replace(target_node=guest.node)
    return found


def services(
    client: Client, machines: Mapping[str, Machine], vmids: Mapping[str, int], recorded: Collection[str]
) -> tuple[dict[str, str], list[Finding]]:
    """What the HA manager has of the machines whose files say `ha`, and what is in the way.

    `recorded`: the machines whose service Terraform's state has. Returns the services to take over, as "vm:500" by
    machine. Asks nothing where no file says `ha`.
    """
    said = {name: one for name, one in machines.items() if one.hardware.ha is not None}
    if not said:
        return {}, []
    there = {service["sid"] for service in client.get("cluster/ha/resources")}
    imports, findings = {}, []
    for name, one in said.items():
        sid = f"vm:{vmids.get(name)}"
        if sid in there and name not in recorded:
            if one.hardware.ha == NONE:
                message = f"is none, but somebody gave {name} ({sid}) to HA in Proxmox; take it out there"
                findings.append(one.finding("ha", message))
            else:
                imports[name] = sid
    groups = {
        name: one for name, one in said.items() if isinstance(one.hardware.ha, HA) and one.hardware.ha.group
    }
    return imports, findings + (_groups(client, groups) if groups else [])


def settings(client: Client) -> dict[int, dict[str, Any]] | None:
    """What the HA manager has of each machine, by VMID; None where the token may not read it."""
    try:
        found = client.get("cluster/ha/resources")
    except Refused as error:
        if error.status == 403:
            return None
        raise
    return {int(one["sid"][3:]): one for one in found if one["sid"].startswith("vm:")}


def _groups(client: Client, machines: Mapping[str, Machine]) -> list[Finding]:
    try:
        names = {group["group"] for group in client.get("cluster/ha/groups")}
        problem = f"is not an HA group of the cluster, which has {', '.join(sorted(names)) or 'none'}"
    except Refused as error:
        if "migrated to rules" not in str(error):
            raise
        names, problem = (
            set(),
            "cannot be used: this Proxmox has HA rules instead of groups; remove it, and add a rule",
        )
    return [
        one.finding("ha.group", f"{one.hardware.ha.group} {problem}")
        for one in machines.values()
        if one.hardware.ha.group not in names
    ]
