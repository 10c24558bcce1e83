"""The table of all machines: in which of the places each one is."""

from fleet.drift.rows import names
from fleet.drift.sources import Sources

HEADS = ("machine", "YAML", "state", "Proxmox", "inventory", "queue", "answers")


def lines(has: Sources) -> list[tuple[str, ...]]:
    """A line for each machine of ours; `?` where a place could not be read."""
    waits = None if has.queue is None else {entry.host for entry in has.queue}
    running = None if has.guests is None else {guest.vmid: guest.status for guest in has.guests}

    def inside(name: str, place) -> str:
        return "?" if place is None else "yes" if name in place else "-"

    def proxmox(name: str) -> str:
        resource = (has.state or {}).get(name)
        if running is None or has.state is None:
            return "?"
        return running.get(resource.vmid, "-") if resource else "-"

    def answers(name: str) -> str:
        return {True: "yes", False: "no", None: "-"}[has.answers.get(name)]

    return [
        (
            name,
            inside(name, has.files),
            inside(name, has.state),
            proxmox(name),
            inside(name, has.inventory),
            inside(name, waits),
            answers(name),
        )
        for name in sorted(names(has))
    ]
