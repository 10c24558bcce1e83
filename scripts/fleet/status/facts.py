"""What the status page tells: a list of fields and no more, so that nothing else of a machine can get onto it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from fleet.drift.rows import Drift, names
from fleet.drift.sources import Sources
from fleet.findings import printable
from fleet.names import group_of
from fleet.preflight.room import Room

GIB = 2**30


class Machine(NamedTuple):
    """`since`: when its VM file or, for a queued one, the queue was last changed; ISO 8601, "" where nobody knows."""

    name: str
    group: str
    stage: str
    needs: str  # what a person may want to do about it; "" where nothing
    since: str
    power: str
    node: str
    vmid: int
    address: str


class Bar(NamedTuple):
    """Gibibytes. `promised`: 0 for a storage."""

    name: str
    kind: str  # "memory" or "storage"
    online: bool
    total: float
    used: float
    promised: float


def machines(has: Sources, drift: Drift, changed: Mapping[str, str]) -> list[Machine]:
    """Each machine of ours with its stage, those first that need somebody or wait.

    `changed`: a file of the repository to when it was last committed.
    """
    waits = {entry.host: entry for entry in has.queue or ()}
    guests = {guest.vmid: guest for guest in has.guests or ()}
    needs = {}
    for row in drift.rows:
        needs.setdefault(row.machine, []).append(f"{row.what}: {row.kind}")
    found = []
    for name in sorted({*names(has), *waits, *needs}):
        resource = (has.state or {}).get(name)
        guest = guests.get(resource.vmid) if resource else None
        file = (has.files or {}).get(name, "")
        queued = name in waits
        found.append(
            Machine(
                name=printable(name),
                group=group_of(name) or "",
                stage=_stage(has, name, waits),
                needs="; ".join(dict.fromkeys(needs.get(name, ()))),
                since=changed.get("proxmox/new_hosts.txt" if queued else file, ""),
                power=guest.status if guest else "unknown" if has.guests is None else "",
                node=guest.node if guest else resource.node if resource else "",
                vmid=resource.vmid if resource else 0,
                address=has.addresses.get(name) or (has.inventory or {}).get(name, ""),
            )
        )
    return sorted(found, key=lambda one: (not one.needs, one.stage == "ready", one.name))


def _stage(has: Sources, name: str, waits: Mapping[str, Any]) -> str:
    if has.state is None:
        return "unknown: the state could not be read"
    if name not in has.state:
        return "not made yet" if name in (has.files or {}) else "not ours"
    if has.queue is None:
        return "unknown: the queue could not be read"
    if name in waits:
        return f"made, waits for {waits[name].playbook or 'its playbook'}"
    return "ready"


def bars(room: Room | None) -> list[Bar]:
    if room is None:
        return []
    found = [
        Bar(
            one.name, "memory", one.online, *(round(n / GIB, 1) for n in (one.memory, one.used, one.promised))
        )
        for one in room.nodes.values()
    ]
    return found + [
        Bar(
            f"{one.name} ({one.node})" if one.node else one.name,
            "storage",
            True,
            round(one.total / GIB, 1),
            round(one.used / GIB, 1),
            0,
        )
        for one in room.storages.values()
    ]


def facts(
    has: Sources, drift: Drift, room: Room | None, changed: Mapping[str, str], at: str
) -> dict[str, Any]:
    """status.json. `unknown` says what could not be looked at, so that an empty list is not taken for "all is well"."""
    return {
        "at": at,
        "machines": [one._asdict() for one in machines(has, drift, changed)],
        "room": [one._asdict() for one in bars(room)],
        "templates": [
            {"name": printable(one.name), "node": one.node, "vmid": one.vmid}
            for one in has.guests or ()
            if one.is_offered
        ],
        "drift": [row.fields() for row in drift.rows],
        "unknown": list(drift.unknown),
    }
