"""Whether the storages have room for the disks that are to be made."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from fleet.deploy.rehearsal import Plan
from fleet.findings import listed
from fleet.lifecycle import image
from fleet.proxmox import disks
from fleet.proxmox.client import Client

GIB = 1 << 30


class Asked(NamedTuple):
    size: int = 0
    machines: tuple[str, ...] = ()


class Room(NamedTuple):
    """`problems` stop the run; `notes` tell how full the thin storages may become."""

    problems: list[str]
    notes: list[str]


def look(api: Client, plans: Iterable[Plan]) -> Room:
    asked: dict[tuple[str, str], Asked] = defaultdict(Asked)
    shared: dict[str, str] = {}
    for plan in plans:
        there = image.storages(api, plan.node)
        for disk in plan.disks:
            if disk.new and disk.storage in there:
                is_shared = int(there[disk.storage].get("shared") or 0)
                node = shared.setdefault(disk.storage, plan.node) if is_shared else plan.node
                before = asked[node, disk.storage]
                names = tuple(dict.fromkeys((*before.machines, plan.wanted.name)))
                asked[node, disk.storage] = Asked(before.size + disk.new, names)
    room = Room([], [])
    for (node, storage), one in sorted(asked.items()):
        about = image.storages(api, node)[storage]
        if int(about.get("total") or 0):
            _judge(api, node, storage, about, one, room)
    return room


def _judge(api: Client, node: str, storage: str, about: Mapping[str, Any], one: Asked, room: Room) -> None:
    total, free = int(about["total"]), int(about.get("avail") or 0)
    where = f"{storage} on {node} ({about['type']})"
    if not _is_thin(api, storage, str(about["type"])):
        if one.size > free:
            room.problems.append(
                f"{listed(one.machines)}: the new disks need {_gib(one.size)} on {where}, which has {_gib(free)} left"
                f" of {_gib(total)}; make room there, or choose another in VM_STORAGE or VM_DATA_STORAGE"
            )
        return
    entries = api.get(f"nodes/{node}/storage/{storage}/content", content="images")
    given = sum(int(entry["size"]) for entry in entries) + one.size
    over = ", which is more than it has: watch it" if given > total else ""
    room.notes.append(
        f"{where} is thin: {_gib(one.size)} are added, then {_gib(given)} of {_gib(total)} are given away{over};"
        f" {_gib(total - free)} are in use"
    )


def _is_thin(api: Client, storage: str, kind: str) -> bool:
    """Whether an empty disk takes no room. Of ZFS the storage's definition tells, which few tokens may read."""
    if kind == "zfspool":
        told = list(_definition(api, storage))
        return not told or bool(int(told[0].get("sparse") or 0))
    return disks.kind(kind).discards


def _definition(api: Client, storage: str) -> Iterator[Mapping[str, Any]]:
    found: Any = api.if_told(f"storage/{storage}")
    if found:
        yield found


def _gib(size: int) -> str:
    return f"{size / GIB:.0f}G"
