"""What `[destroy NAME]`, `[adopt NAME]`, `[drop-disk NAME scsi2]` and `[destroy WORKSPACE/RELEASE]` may name."""

from collections.abc import Callable, Collection, Iterable

from fleet.findings import Fault, listed
from fleet.names import managed
from fleet.tags.message import Tag


def approvable(
    tag: Tag,
    machines: Collection[str],
    workspaces: Callable[[], Collection[str]],
    was_there: Callable[[], bool],
) -> None:
    """Raises Fault for an approval that can mean no machine of this fleet, or no workspace of clusters/.

    `was_there()` tells whether vms/ ever had the machine: one that is gone can still be destroyed. Which releases a
    workspace has only its state and its cluster say, so apply_workspace.py checks them.
    """
    workspace, slash, _ = tag.name.partition("/")
    if slash:
        try:
            there = workspaces()
        except Fault as fault:
            raise Fault(f"cannot be checked: {fault.finding.text()}") from None
        if workspace not in there:
            hint = guess(workspace, there)
            raise Fault(
                f"names no workspace of clusters/variables.tf; workspaces: {listed(sorted(there))}{hint}"
            )
        return
    name = machine_of(tag)
    done = {"destroy": "destroyed"}.get(tag.action, "changed")
    if not managed(name):
        raise Fault(f"names a machine that is not managed here and is never {done}")
    if name in machines or (tag.action == "destroy" and was_there()):
        return
    said = "names a machine that was never" if tag.action == "destroy" else "names a machine that is not"
    hint = f"{listed(sorted(machines))}{guess(name, machines)}"
    raise Fault(f"{said} in the inventory or vms/; existing machines: {hint}")


def machine_of(tag: Tag) -> str:
    """The machine that an approval names; of [drop-disk NAME scsi2] without the slot."""
    return tag.name.partition(" ")[0]


def guess(name: str, known: Iterable[str]) -> str:
    import difflib

    lower = {other.lower(): other for other in known}
    near = difflib.get_close_matches(name.lower(), lower, 1, 0.75)
    return f"; did you mean {lower[near[0]]}?" if near else ""
