"""Guests: templates and whether they can be cloned, which VMIDs others get, and whether guest agents answer."""

import re
import time
from collections.abc import Iterator, Mapping
from typing import Any

from fleet.doctor.configured import machines, setting, words
from fleet.doctor.line import Line, red, skipped, warning
from fleet.doctor.proxmox import Proxmox
from fleet.doctor.run import each
from fleet.findings import listed
from fleet.preflight import offered
from fleet.proxmox import properties
from fleet.proxmox.errors import Refused
from fleet.proxmox.guest import BUILDING, Guest
from fleet.proxmox.ids import AUTOMATIC
from fleet.templates import found, notes
from fleet.vms.hardware import NONE

MOST = 50  # guests of one kind that are asked
ANSWERS, SILENT, NONE_THERE, UNASKED = "answers", "silent", "none", "not asked"
LOWER, UPPER = AUTOMATIC.start, AUTOMATIC.stop  # Proxmox never gives the upper one


def next_id(pve: Proxmox) -> Line:
    """The range from which Proxmox takes VMIDs for what people make by hand: it must spare that of templates."""
    name, wanted = "VMID range", f"lower={LOWER},upper={UPPER}, so that nobody gets a template's VMID"
    if why := pve.lacks("/", "Sys.Audit"):
        return skipped(name, why)
    text = (pve.client.get("cluster/options") or {}).get("next-id") or {}
    has = text if isinstance(text, dict) else properties.parse(str(text))
    lower, upper = int(has.get("lower") or 100), int(has.get("upper") or 1_000_000)
    found = f"lower={lower},upper={upper}"
    if (lower, upper) == (LOWER, UPPER):
        return Line(name, found, wanted)
    mend = f"on a node: `pvesh set /cluster/options -next-id lower={LOWER},upper={UPPER}`"
    return warning(name, found, wanted, mend)


def agents(pve: Proxmox, seconds: float = 7) -> Line:
    """Proxmox itself waits 3 s for an agent that is silent; after `seconds` no other one is asked."""
    name, wanted = "guest agents", "each running machine that has one answers"
    until = time.monotonic() + seconds
    here = [guest for guest in pve.guests if not guest.container and guest.node in pve.online]
    running = [guest for guest in here if guest.status == "running"]

    def ask(guest: Guest) -> str:
        return _agent(pve, guest) if time.monotonic() < until else UNASKED

    said = dict(zip(running[:MOST], each(ask, running[:MOST]), strict=True))
    silent = [guest.name for guest, state in said.items() if state == SILENT]
    asked = len(silent) + sum(state == ANSWERS for state in said.values())
    left = len(running) - len(said) + sum(state == UNASKED for state in said.values())
    more = f", {left} more not asked" if left else ""
    if silent:
        found = f"{len(silent)} of {asked} silent: {listed(silent, 5)}{more}"
        return warning(name, found, wanted, "on each: `systemctl enable --now qemu-guest-agent`")
    if not asked:
        why = f"{left} not asked, since Proxmox is slow" if left else "no running machine has one"
        return skipped(name, _unseen(pve) or pve.lacks("/vms", "VM.GuestAgent.Audit", "VM.Monitor") or why)
    return Line(name, f"{asked} of {asked} answer{more}", wanted)


def _agent(pve: Proxmox, guest: Guest) -> str:
    try:
        config = pve.client.config(guest.node, guest.vmid)
        enabled = properties.parse(str(config.get("agent") or "0"), "enabled").get("enabled")
        if enabled != "1":
            return NONE_THERE
        pve.client.get(f"nodes/{guest.node}/qemu/{guest.vmid}/agent/get-osinfo")
    except Refused as refused:
        # Any other answer is about a machine that was stopped or removed meanwhile, or about a right.
        return SILENT if re.search("guest agent|qga command", str(refused)) else NONE_THERE
    return ANSWERS


def _unseen(pve: Proxmox) -> str:
    """Why no guest is seen; "" where one is, or where there is none."""
    return "" if pve.guests else pve.lacks("/vms", "VM.Audit")


def templates(pve: Proxmox) -> Line:
    name, wanted = "templates", "at least one, and each with base images"
    if why := _unseen(pve):
        return skipped(name, why)
    made = [guest for guest in pve.guests if guest.is_offered or BUILDING in guest.tags]
    near = [guest for guest in made if guest.node in pve.online and not guest.container][:MOST]
    if not near:
        return warning(name, "there is none", wanted, "`make template IMAGE=debian12`")
    states = each(lambda guest: _state(pve, guest, pve.storages[guest.node] or {}), near)
    broken = {guest: said for guest, said in zip(near, states, strict=True) if said}
    if halves := {guest: said for guest, said in broken.items() if BUILDING not in guest.tags}:
        guest = next(iter(halves))
        text = "; ".join(
            f"{guest.name} (VMID {guest.vmid} on {guest.node}): {said}" for guest, said in halves.items()
        )
        return red(name, text, wanted, _mend(guest))
    if broken:
        text = listed([f"{guest.name} (VMID {guest.vmid})" for guest in broken], 5)
        mend = f"{offered.build_command(next(iter(broken)).name.removesuffix('-building'))} goes on with it"
        return warning(name, f"a build of {text} was cut off", wanted, mend)
    names = sorted({guest.name for guest in near if BUILDING not in guest.tags})
    return Line(name, listed(names, 6), wanted)


def _state(pve: Proxmox, guest: Guest, storages: Mapping[str, Mapping[str, Any]]) -> str:
    config = pve.client.config(guest.node, guest.vmid)
    if BUILDING in guest.tags:
        about = notes.parse(config.get("description"))
        return "" if about and about.is_alive() else "interrupted"
    return "; ".join(found.problems(config, storages))


def _mend(guest: Guest) -> str:
    """A template of ours is built again; one made by hand is converted by hand."""
    by_hand = f"on {guest.node}: `qm set {guest.vmid} --template 0 && qm template {guest.vmid}`"
    ours = guest.name.endswith("-template") and notes.TEMPLATE in guest.tags
    return f"{offered.build_command(guest.name, guest.node)}, or {by_hand}" if ours else by_hand


def named(pve: Proxmox) -> Iterator[Line]:
    """Those of machines that are still to be made: of the others nobody looks at the template again."""
    name, wanted = "named templates", "one of that name for each new machine"
    if why := _unseen(pve):
        yield skipped(name, why)
        return
    exist = {guest.name for guest in pve.guests}
    new = [one for one in machines() if one.name not in exist and one.clone != NONE]
    mine = [one for one in words("VM_NAMES") if one not in exist] if setting("VM_TEMPLATE") else []
    if not new and not mine:
        yield skipped(name, "no file in proxmox/vms and no VM_NAMES asks for a new clone")
        return
    missing = [
        offered.none_offered(one, pve.guests) for one in new if not offered.template_of(one, pve.guests)
    ]
    template = setting("VM_TEMPLATE")
    if missing:
        said, _, mend = missing[0].message.partition("; ")
        yield red(name, f"{missing[0].path}: {said}", wanted, mend or "`make template-list`")
    elif mine and template not in {guest.name for guest in pve.guests if guest.is_offered}:
        yield red(
            name, f"VM_TEMPLATE is {template}, which does not exist", wanted, offered.build_command(template)
        )
    else:
        names = {one.clone for one in new} | ({template} if mine else set())
        yield Line(name, listed(sorted(names), 6), wanted)
