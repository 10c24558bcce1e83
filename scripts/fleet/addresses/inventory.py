"""Which machines of a role are in its inventory, from one run to the next.

A machine's line is found again by its VMID and MAC address, so that it moves along with a new name, and another machine
with the VMID gets nothing of it. A line goes only where Proxmox says that there is no such machine, or that it is not
the role's: that a token does not see a machine, or that its node does not answer, proves nothing.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from fleet import names
from fleet.addresses import conflicts, machines
from fleet.addresses.lines import USER, Line, line
from fleet.addresses.machines import Asking, Machine
from fleet.findings import Fault, Finding, cut, printable
from fleet.proxmox.client import Client
from fleet.proxmox.guest import Guest
from fleet.vms import addresses

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")


class Role(NamedTuple):
    """The tag of its machines; `made`: whether a machine is its own, which raises Fault for one that is unfinished."""

    tag: str
    made: Callable[[Machine], bool]


class Now(NamedTuple):
    """The lines by VMID, the VMIDs of those machines that run at their address, and what to report."""

    lines: dict[int, Line]
    running: set[int]
    findings: list[Finding]


def now(client: Client, old: Mapping[int, Line], role: Role, taken: Mapping[str, str]) -> Now:
    """Ask Proxmox and the machines: one call for the list, one or two for each that has the role's tag or a line.

    A guest can claim any address, so that the agent of a machine with a static one is not asked. `taken`: the
    addresses that others have, each with whose it is.
    """
    cluster = client.guests()
    lines, findings = _unseen(client, old, cluster)
    made: list[Machine] = []
    for machine in machines.read(client, [guest for guest in cluster if _is_meant(guest, role.tag, old)]):
        why = machine.answer.reason
        try:
            if not why and role.made(machine):
                _check_name(machine)
                made.append(machine)
                continue
        except Fault as fault:
            why = str(fault)
        own = _own(machine, old)
        if why:
            findings.append(_unknown(machine, old, why))
            lines |= {own.vmid: own} if own else {}
        elif own:
            message = (
                f"{machine.label} is not the role's by its name, tags and description; its line is removed"
            )
            findings.append(Finding(message, level="warning"))
    last = {machine.guest.vmid: each.address for machine in made if (each := _own(machine, old))}
    static = [machine for machine in made if _static(machine)]
    told = machines.ask(client, [machine for machine in made if not _static(machine)], Asking(last=last))
    asked = {machine.guest.vmid: machine for machine in [*static, *told]}
    has = {vmid: _static(machine) or machine.answer.address for vmid, machine in asked.items()}
    doubled = conflicts.names(asked, lines)
    refused = conflicts.addresses(asked, has, last, lines, taken) | doubled
    for vmid, machine in asked.items():
        address = has[vmid] if vmid not in refused else ""
        if vmid in refused:
            findings.append(Finding(f"{machine.label} {refused[vmid]}"))
        elif not address:
            findings.append(_unknown(machine, old, machine.answer.reason))
        if vmid in doubled:
            lines |= {vmid: old[vmid]} if vmid in last else {}
        elif address or vmid in last:
            findings += _user(machine)
            lines[vmid] = line(machine.name, address or last[vmid], vmid, machine.mac, machine.config)
    runs = {vmid for vmid, one in asked.items() if one.answer.address or one.guest.status == "running"}
    return Now(lines, {vmid for vmid in runs if has[vmid] and vmid not in refused}, findings)


def _is_meant(guest: Guest, tag: str, old: Mapping[int, Line]) -> bool:
    return not guest.container and not guest.template and (tag in guest.tags or guest.vmid in old)


def _own(machine: Machine, old: Mapping[int, Line]) -> Line | None:
    """The machine's own line, and not that of another one that had its VMID."""
    found = old.get(machine.guest.vmid)
    return found if found and (not machine.config or found.mac.lower() == machine.mac.lower()) else None


def _unknown(machine: Machine, old: Mapping[int, Line], why: str) -> Finding:
    """What to say of a machine whose address is not known now."""
    why = printable(why)[:300]  # the words may be the guest's
    if found := _own(machine, old):
        return Finding(f"{machine.label}: {why}; its line keeps {found.address}", level="warning")
    level = "error" if machine.guest.status == "running" else "warning"
    return Finding(f"{machine.label}: {why}; it has no line until its address is known", level=level)


def _unseen(
    client: Client, old: Mapping[int, Line], cluster: Sequence[Guest]
) -> tuple[dict[int, Line], list[Finding]]:
    """The lines of machines that the token does not see, and that are there: their VMIDs are not free."""
    gone = old.keys() - {guest.vmid for guest in cluster}
    kept = {vmid: old[vmid] for vmid in sorted(gone) if not client.is_free(vmid)}
    findings = [
        Finding(f"{each.name}: the token does not see VMID {vmid}, which is in use; its line keeps {each.address};"
                f" give the token VM.Audit on /vms/{vmid}, or remove the line", level="warning")
        for vmid, each in kept.items()
    ]  # fmt: skip
    return kept, findings


def _user(machine: Machine) -> list[Finding]:
    user = str(machine.config.get("ciuser") or "")
    if not user or USER.fullmatch(user):
        return []
    message = f"{machine.label}: its user {cut(user)} cannot stand in an inventory, so its line has none"
    return [Finding(message, level="warning")]


def _static(machine: Machine) -> str:
    """The address that cloud-init gives a machine; "" where DHCP gives it one."""
    found = addresses.parse(str(machine.config.get("ipconfig0") or "ip=dhcp"))[0]
    return "" if found.automatic4 else next((str(interface.ip) for interface in found.interfaces), "")


def _check_name(machine: Machine) -> None:
    if not _NAME.fullmatch(machine.name) or machine.name in names.RESERVED:
        raise Fault("its name cannot stand in an inventory; rename it")
