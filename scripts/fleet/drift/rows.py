"""Where the places disagree: a row each, with the command or the commit that mends it. Pure; no place is asked here."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from fleet.drift.sources import APPLY, Sources
from fleet.findings import printable
from fleet.plans.values import shown
from fleet.proxmox.guest import Guest
from fleet.terraform.state import Resource
from fleet.vms.machine import TAG

APPLIES = "run the workflow terraform-apply"


class Row(NamedTuple):
    """One difference: what the project recorded (`was`), and what is there (`is_now`, `is` in JSON)."""

    machine: str
    kind: str
    what: str
    was: str
    is_now: str
    command: str

    def fields(self) -> dict[str, str]:
        return {key.removesuffix("_now"): value for key, value in self._asdict().items()}


class Drift(NamedTuple):
    """`unknown` says what could not be looked at: without it alone an empty `rows` means that all is well."""

    rows: tuple[Row, ...]
    unknown: tuple[str, ...]

    @property
    def code(self) -> int:
        return 2 if self.unknown else int(bool(self.rows))


def find(has: Sources) -> Drift:
    """All differences. While an apply runs every place is between two states, and nothing is called drift."""
    if APPLY in has.unknown:
        return Drift((), has.unknown)
    busy = {guest.name for guest in has.guests or () if guest.lock} & (names(has))
    rows = {row for row in _rows(has) if row.machine not in busy}
    locked = (f"{name}: Proxmox is working on it (locked)" for name in sorted(busy))
    return Drift(tuple(sorted(rows)), (*has.unknown, *locked))


def names(has: Sources) -> set[str]:
    return {*(has.files or ()), *(has.state or ())}


def _rows(has: Sources) -> Iterator[Row]:
    if has.files is not None and has.state is not None:
        for name in has.files.keys() - has.state.keys():
            yield Row(name, "missing", "state", has.files[name], "not in the state", APPLIES)
        for name in has.state.keys() - has.files.keys():
            mend = f"restore its VM file, or a commit with [destroy {name}]"
            yield Row(name, "orphaned", "VM file", "in the state", "no VM file", mend)
    if has.guests is not None and has.state is not None:
        yield from _guests(has, has.state, has.guests)
    if has.state is not None:
        yield from _lists(has, has.state)
    for name, answers in has.answers.items():
        if not answers:
            yield Row(name, "silent", "network", has.addresses[name], "runs, does not answer", "make doctor")


def _guests(has: Sources, state: Mapping[str, Resource], guests: tuple[Guest, ...]) -> Iterator[Row]:
    by_id = {guest.vmid: guest for guest in guests}
    for name, resource in state.items():
        guest = by_id.get(resource.vmid)
        if guest is None:
            yield Row(name, "missing", "machine", f"VMID {resource.vmid}", "not in Proxmox", APPLIES)
        else:
            config = has.configs.get(guest.vmid)
            for what, was, now in compare(name, resource, guest, config or {}):
                yield Row(name, "changed", what, shown(what, was), shown(what, now), APPLIES)
    recorded = {resource.vmid for resource in state.values()}
    for guest in guests:
        ours = TAG in guest.tags or guest.name in names(has)
        if ours and guest.vmid not in recorded and not guest.template:
            where = f"VMID {guest.vmid} on {guest.node}"
            mend = f"rename it in Proxmox, or a commit with [adopt {guest.name}]"
            yield Row(printable(guest.name), "foreign", "machine", "not in the state", where, printable(mend))


def compare(
    name: str, resource: Resource, guest: Guest, config: Mapping[str, Any]
) -> Iterator[tuple[str, Any, Any]]:
    """What differs of the values on this list; no other value of a machine is ever shown."""
    said = resource.attributes
    pairs = [("name", name, guest.name), ("tags", sorted(said.get("tags") or ()), sorted(guest.tags))]
    if not guest.ha:  # the HA manager chooses the node
        pairs.append(("node", resource.node, guest.node))
    if guest.status in ("running", "stopped") and said.get("started") is not None:
        power = "running" if said["started"] else "stopped"
        pairs.append(("power", power, guest.status))
    if config:
        cpu, memory = ((said.get(part) or [{}])[0] for part in ("cpu", "memory"))
        pairs += [
            ("cores", cpu.get("cores"), int(config.get("cores") or 1)),
            ("sockets", cpu.get("sockets"), int(config.get("sockets") or 1)),
            ("memory", memory.get("dedicated"), int(config.get("memory") or 512)),
            ("onboot", said.get("on_boot"), bool(int(config.get("onboot") or 0))),
            ("protection", said.get("protection"), bool(int(config.get("protection") or 0))),
        ]
    yield from (pair for pair in pairs if pair[1] is not None and pair[1] != pair[2])


def _lists(has: Sources, state: Mapping[str, Resource]) -> Iterator[Row]:
    for name, address in (has.inventory or {}).items():
        wanted = has.addresses.get(name, "")
        if name not in state:
            yield Row(name, "orphaned", "inventory", "not in the state", address, "make inventory")
        elif wanted and wanted != address:
            yield Row(name, "stale", "inventory", wanted, address, "make inventory")
    for entry in has.queue or ():
        host, wanted = entry.host, has.addresses.get(entry.host, "")
        if host not in state and host not in (has.files or {}) and host in (has.inventory or {}):
            yield Row(host, "orphaned", "queue", "not in the state", entry.address, "make inventory")
        elif wanted and wanted != entry.address:
            yield Row(host, "stale", "queue", wanted, entry.address, "make inventory")
