"""Which guests of a cluster are meant, and those of them that no VM file can describe at all."""

from collections.abc import Collection, Iterable
from typing import NamedTuple

from fleet.findings import Fault
from fleet.proxmox.guest import Guest


class Wanted(NamedTuple):
    """What a person asked for: VMIDs, or all guests of a node or with a tag; nothing of it: all guests."""

    vmids: Collection[int] = ()
    node: str = ""
    tag: str = ""


def chosen(cluster: Iterable[Guest], wanted: Wanted) -> list[Guest]:
    """The guests that are meant, by VMID. Raises Fault (exit 2) where one, or any, is missing."""
    guests = {guest.vmid: guest for guest in cluster}
    if missing := sorted(set(wanted.vmids) - guests.keys()):
        numbers = ", ".join(map(str, missing))
        raise Fault(
            f"Proxmox shows the token no guest {numbers}: check the number, and VM.Audit on it", code=2
        )
    found = [
        guest
        for vmid, guest in sorted(guests.items())
        if (not wanted.vmids or vmid in wanted.vmids)
        and wanted.node in ("", guest.node)
        and (not wanted.tag or wanted.tag.lower() in guest.tags)
    ]
    if not found:
        raise Fault(
            f"none of the {len(guests)} guests that Proxmox shows the token is meant; nodes:"
            f" {', '.join(sorted({guest.node for guest in guests.values()})) or 'none'}",
            code=2,
        )
    return found


def skipped(guest: Guest) -> str:
    """Why a guest is never adopted; "" for a machine."""
    if guest.container:
        return "is a container (LXC), which this project does not manage"
    return "is a template; machines name it as their `clone`" if guest.template else ""


def problem(guest: Guest, cluster: Iterable[Guest]) -> str:
    """Why a machine cannot be adopted now, so that its configuration need not be read; "" where it can."""
    if guest.lock:
        return locked(guest.lock)
    for other in cluster:
        if other.vmid != guest.vmid and other.name == guest.name and not (other.container or other.template):
            return (
                f"has the name of VMID {other.vmid} on {other.node} too; rename one of the two with"
                f" `qm set VMID --name NAME`"
            )
    return ""


def locked(lock: str) -> str:
    return f"is locked ({lock}); run this again when that has ended"
