"""Which playbook is queued for which machine: what commits asked for, and load balancers that follow a cluster."""

from collections.abc import Collection, Iterable
from typing import NamedTuple

from fleet.ansible import inventory, queue
from fleet.ansible.host import addresses_of
from fleet.ansible.inventory import Inventory
from fleet.ansible.queue import Entry
from fleet.findings import Finding
from fleet.names import KINDS, cluster_of, clusters_served_by, is_control_plane, playbook_of, tag_playbook_of

TABLE = frozenset(kind.playbook for kind in KINDS if kind.playbook)


class Assigned(NamedTuple):
    queue_text: str
    assigned: list[Entry]
    waiting: list[Entry]  # queued without a playbook: nobody asked for one yet
    findings: list[Finding]


def assign(
    inventory_text: str,
    queue_text: str,
    requests: Iterable[dict],
    inventory_path: str = "",
    queue_path: str = "",
) -> Assigned:
    """The queue with each request served. Pure: reads and writes no file.

    A request has `action`, `name`, `playbook`, `machine`, `commit` and `changed`. One for a machine queues
    it, whether or not it was; a playbook of the names table takes the queued machines that the table gives
    it and that have no playbook yet; any other takes the queued machines whose files its commit changed.
    """
    hosts = inventory.parse(inventory_text, inventory_path)
    if hosts.findings:
        return Assigned(queue_text, [], [], hosts.findings)
    addresses = addresses_of(hosts.variables())
    lines, found = queue.parse(queue_text, queue_path)
    found = [finding._replace(level="warning") for finding in found]  # such a line stays as it is
    queued: dict[str, dict[str | None, str]] = {}  # host to its playbooks, each with the line's address
    for _, entry in lines:
        queued.setdefault(entry.host, {}).setdefault(entry.playbook, entry.address)
    assigned: list[Entry] = []
    taken: dict[str, Entry] = {}  # hosts whose line without a playbook gets one
    for request in requests:
        playbook, machine = request.get("playbook"), request.get("machine")
        if request.get("action") != "ansible" or not playbook:
            continue
        if machine:
            targets = [machine] if machine in addresses or machine in queued else []
        elif playbook in TABLE:
            fits = (host for host in queued if playbook_of(host) == playbook)
            targets = [host for host in fits if queued[host].keys() & {None, playbook}]
        else:
            targets = [host for host in queued if host in request.get("changed", ())]
        if not targets:
            found.append(_nothing(request))
        for host in targets:
            playbooks = queued.setdefault(host, {})
            if playbook in playbooks:
                continue
            # A new machine goes on waiting for its own playbook when another one is asked for first.
            entry = Entry(addresses.get(host) or next(iter(playbooks.values())), host, playbook)
            if None in playbooks and playbook_of(host) in (None, playbook):
                taken[host] = entry
                del playbooks[None]
            playbooks[playbook] = entry.address
            assigned.append(entry)

    def served(entry: Entry) -> Entry:
        return taken.get(entry.host, entry) if entry.playbook is None else entry

    text = queue.edit(queue_text, served, assigned)
    left = [(number, entry) for number, entry in queue.parse(text)[0] if entry.playbook is None]
    for number, entry in left:
        tag = entry.host if tag_playbook_of(entry.host) else playbook_of(entry.host) or "PLAYBOOK"
        message = f"{entry.host} waits for a playbook; ask for it in a commit with [ansible {tag}]"
        found.append(Finding(message, queue_path, number, level="notice"))
    return Assigned(text, assigned, [entry for _, entry in left], found)


def following(
    before: Inventory, after: Inventory, queue_text: str, adopted: Collection[str]
) -> tuple[list[Entry], list[Finding]]:
    """The load balancers whose clusters got, lost or moved a control plane, to be queued, with a notice for each.

    One that waits for its first playbook will read the inventory then. One that a person wrote, or that somebody else
    made (`adopted`), is only named: nobody may have asked for a play on it.
    """
    waiting = {
        one.host for _, one in queue.parse(queue_text)[0] if one.playbook in (None, playbook_of(one.host))
    }
    changed = {name for name, _ in _control_planes(before) ^ _control_planes(after)}
    queued, found, ours = [], [], after.managed().keys() - set(adopted)
    for name, address in sorted(addresses_of(after.variables()).items()):
        moved = sorted(one for one in changed if cluster_of(one) in clusters_served_by(name))
        if not moved or name in waiting:
            continue
        playbook = playbook_of(name)
        if name in ours:
            queued.append(Entry(address, name, playbook))
            what = f"is queued for {playbook}"
        else:
            what = f"is not this automation's: run {playbook} on it by hand if it is to follow"
        message = f"{name} serves {' and '.join(moved)}, which came, went or moved, and {what}"
        found.append(Finding(message, level="notice"))
    return queued, found


def _control_planes(lines: Inventory) -> set[tuple[str, str]]:
    """The names and addresses of the machines on which a cluster's API runs."""
    return {one for one in addresses_of(lines.variables()).items() if is_control_plane(one[0])}


def _nothing(request: dict) -> Finding:
    tag, commit = f"[ansible {request.get('name')}]", (request.get("commit") or "")[:10]
    why = (
        f"{request['machine']} is not in the inventory"
        if request.get("machine")
        else "no queued machine matches it"
    )
    message = f"{tag}{f' of {commit}' if commit else ''}: {why}, so nothing is run. To run it on machines of"
    return Finding(f"{message} your choice, start the workflow ansible.yml by hand", level="warning")
