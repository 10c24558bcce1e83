"""Machines that Proxmox's HA manager places: the node where one runs is the manager's to choose."""

from collections.abc import Iterable, Mapping

from fleet.console import note
from fleet.proxmox.client import Guest
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
