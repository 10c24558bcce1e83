"""Which machines of this configuration may be removed, and why any other stays.

Only a machine that the role made and that the configuration names goes. The fast clean-up (cleanup.py) and the slow one
(remove_all.py) go by the same rules.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from fleet.console import table
from fleet.deploy import taken
from fleet.deploy.wanted import Wanted
from fleet.findings import Fault, listed
from fleet.lifecycle import machine, owner
from fleet.lifecycle.machine import Found
from fleet.proxmox import disks
from fleet.proxmox.client import Client
from fleet.proxmox.guest import Guest

_VANISHED = re.compile(r"[Cc]onfiguration file \S+ does not exist|no such VM")  # from that node
HEADS = ("machine", "VMID", "node", "state", "")


class Verdict(NamedTuple):
    """`reason`: why it stays; "" where it may go. No `guest`: it is not there."""

    name: str
    guest: Guest | None = None
    found: Found | None = None
    reason: str = ""

    @property
    def goes(self) -> bool:
        return bool(self.guest and not self.reason)

    @property
    def stays(self) -> bool:
        return bool(self.guest and self.reason)

    @property
    def row(self) -> tuple[object, ...]:
        if self.guest is None:
            return self.name, "-", "-", "-", "is not there"
        count = len(disks.volumes(self.found.config)) if self.found else 0
        words = (
            f"stays: {self.reason}" if self.reason else f"goes, with {count} disk{'' if count == 1 else 's'}"
        )
        return self.name, self.guest.vmid, self.guest.node, self.guest.status, words


class View(NamedTuple):
    """`others`: what to say of machines that the role made and this configuration does not name."""

    verdicts: list[Verdict]
    others: list[str]

    @property
    def text(self) -> str:
        return "\n".join([table(HEADS, (one.row for one in self.verdicts)), *self.others])


def sentence(one: Verdict) -> str:
    where = f" (VMID {one.guest.vmid} on {one.guest.node})" if one.guest else ""
    return f"{one.name}{where} stays: {one.reason or 'it is still there; run this again'}"


def refusal(goes: Sequence[Verdict], command: str) -> str:
    count = f"{len(goes)} machine{'' if len(goes) == 1 else 's'}"
    return f"`{command} CONFIRM_DELETE=true` removes {count} with all disks; nothing brings them back"


def look(api: Client, machines: Sequence[Wanted]) -> View:
    cluster = api.guests()
    unread: list[str] = []
    marked = {found.guest.vmid: found for found in taken.read_marked(api, cluster, unread.append)}
    verdicts = [verdict for one in machines for verdict in _verdicts(api, one, cluster, marked)]
    names = {one.name for one in machines}
    return View(verdicts, list(_others(names, marked)))


def _verdicts(
    api: Client, one: Wanted, cluster: Sequence[Guest], marked: Mapping[int, Found]
) -> Iterator[Verdict]:
    near = [
        guest
        for guest in cluster
        if guest.name == one.name or ((found := marked.get(guest.vmid)) and found.guest.name == one.name)
    ]
    there = list(filter(None, (judge(api, one, guest, marked.get(guest.vmid)) for guest in near)))
    going = [verdict.guest for verdict in there if verdict.goes and verdict.guest]
    if len(going) > 1:  # a copy that a person made under the same name says the same of itself
        places = listed(f"VMID {guest.vmid} on {guest.node}" for guest in going)
        twice = f"{one.name} exists {len(going)} times, as {places}; say which in VM_IDS"
        there = [verdict._replace(reason=verdict.reason or twice) for verdict in there]
    yield from there or [Verdict(one.name)]


def judge(api: Client, one: Wanted, guest: Guest, found: Found | None = None) -> Verdict | None:
    """What becomes of a guest with the machine's name; None where it went away meanwhile."""
    if guest.container:
        return Verdict(one.name, guest, None, "it is a container")
    try:
        found = found or machine.read(api, guest)
    except Fault as fault:
        if not _VANISHED.search(str(fault)):
            return Verdict(one.name, guest, None, str(fault))
        if api.is_free(guest.vmid):
            return None
        why = f"it is not on {guest.node} any more, and its VMID is in use: it moved, or is another; run this again"
        return Verdict(one.name, guest, None, why)
    return Verdict(one.name, guest, found, _reason(one, guest, found))


def _reason(one: Wanted, guest: Guest, found: Found) -> str:
    if guest.template or int(found.config.get("template") or 0):
        return "it is a template"
    name, vmid, node = str(found.config.get("name") or ""), guest.vmid, guest.node
    if name != one.name:
        return f"it is called {name or 'nothing'} now"
    try:
        owner.refuse_stranger("remove", found.guest, found.config)
    except Fault as fault:
        return str(fault)
    if one.spec.vmid not in (None, vmid):
        return f"VM_IDS says {one.spec.vmid}, so this may be another machine of that name"
    if int(found.config.get("protection") or 0):
        return f"it is protected: `qm set {vmid} --protection 0` on {node}"
    if guest.ha:
        return f"HA manages it: take it out of HA first, `ha-manager remove vm:{vmid}`"
    if held := found.config.get("lock"):
        return f"it is locked ({held}): wait for the task that holds it, or if none runs, `qm unlock {vmid}` on {node}"
    return ""


def _others(names: set[str], marked: Mapping[int, Found]) -> Iterator[str]:
    for found in marked.values():
        name = str(found.config.get("name") or "")
        if name in names:
            continue
        was = owner.named(found.config)
        if was in names and was != name:
            yield f"{found.label} was made as {was} and has another name now: it is not touched"
        elif found.owner.role:
            yield f"{found.label} was made by the role too, but is not in this configuration: it is not touched"
