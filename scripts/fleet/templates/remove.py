"""Templates and half-built machines that go: because somebody asks for it, or because nobody needs them."""

from collections.abc import Iterable, Mapping
from typing import Any

from fleet.arguments import LABEL, Arguments
from fleet.findings import Fault, listed
from fleet.proxmox import tasks
from fleet.proxmox.change import Change, Result
from fleet.proxmox.client import Client
from fleet.proxmox.guest import BUILDING, RETIRED
from fleet.templates import found
from fleet.templates.names import PREFIX, named


def run(change: Change, arguments: Mapping[str, Any]) -> Result:
    """The state `destroy`: the template of one name, on one node, which `confirm` must repeat."""
    a = Arguments(arguments, PREFIX)
    name = named(a)
    node, confirm = a.text("node", LABEL, "the name of a node"), a.text("confirm")
    a.check()
    made = [one for one in found.all_of(change.api, change.api.guests(), node) if one.guest.name == name]
    if not made:
        return Result(message=f"there is no template {name or 'without a name'} that was built here")
    if confirm != name:
        raise Fault(f"{made[-1]} would be destroyed; say so with -e {PREFIX}confirm={name}")
    for one in made:
        if clones := _clones(change.api, one):
            raise Fault(
                f"{one} is needed by its linked clones {listed(clones)}; remove them first, or make them full"
            )
        if int(one.config.get("protection") or 0):
            raise Fault(
                f"{one} is protected; run `qm set {one.guest.vmid} --protection 0` on {one.guest.node}"
            )
    if not change.check:
        for one in made:
            destroy(change.api, one.path)
    gone = listed(made)
    return Result(True, f"{gone} is destroyed", {"template": name}, {})


def unneeded(change: Change, made: Iterable[found.Found]) -> list[str]:
    """Remove retired templates without linked clones, and what interrupted builds left; what was done, and what not."""
    lines = []
    for one in made:
        dead = BUILDING in one.guest.tags and not one.notes.is_alive()
        if not (dead or RETIRED in one.guest.tags):
            continue
        if reason := _needed(change.api, one):
            lines.append(f"{one} stays: {reason}")
            continue
        try:
            if not change.check:
                destroy(change.api, one.path)
            lines.append(f"{one} is removed")
        except Fault as fault:  # such as a clone that is being made of it: the next clean-up removes it
            lines.append(f"{one} stays: {fault}")
    return lines


def _needed(client: Client, one: found.Found) -> str:
    """Why a template may not go; "" where nothing speaks against it."""
    if clones := _clones(client, one):
        return f"it has the linked clones {listed(clones)}"
    return "it is protected" if int(one.config.get("protection") or 0) else ""


def _clones(client: Client, one: found.Found) -> list[str]:
    names = {guest.vmid: guest.name for guest in client.guests()}
    return [f"{names.get(vmid, 'a machine')} (VMID {vmid})" for vmid in found.linked_clones(client, one)]


def destroy(client: Client, path: str) -> None:
    """Remove the guest at `path` with its disks; a machine that runs is one that its build did not switch off."""
    if found.is_running(client, path):
        tasks.wait(client, client.post(f"{path}/status/stop"))
    tasks.wait(client, client.delete(path, purge=1))
