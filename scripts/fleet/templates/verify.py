"""The states `verify` and `list`, and the table at the end of a build."""

from collections.abc import Mapping
from typing import Any

from fleet.arguments import LABEL, Arguments
from fleet.console import table
from fleet.findings import Fault
from fleet.images import lock
from fleet.proxmox.change import Change, Result
from fleet.proxmox.client import Client
from fleet.proxmox.guest import BUILDING, RETIRED
from fleet.templates import found
from fleet.templates.names import PREFIX, named

HEADS = ("template", "VMID", "node", "state", "image", "checksum", "built", "linked clones")


def run(change: Change, arguments: Mapping[str, Any]) -> Result:
    """With `all`: a table of every template. Else the one that is named, or each; Fault when one is not whole."""
    a = Arguments(arguments, PREFIX)
    name, node, everything = named(a), a.text("node", LABEL, "the name of a node"), a.flag("all")
    a.check()
    made = found.all_of(change.api, change.api.guests(), node)
    if everything:
        return Result(
            message=table(HEADS, [row(change.api, one) for one in made])
            if made
            else "there are no templates yet"
        )
    made = [one for one in made if one.guest.name == (name or one.notes.name)]
    if not made:
        raise Fault(
            f"there is no template {name} that was built here{f' on {node}' if node else ''}".replace(
                "  ", " "
            )
        )
    if wrong := [f"{one}: {text}" for one in made if (text := _state(change.api, one)[1])]:
        image = made[0].notes.image
        raise Fault(f"{'; '.join(wrong)}; `make template IMAGE={image}` builds it again")
    return Result(
        message=table(HEADS, [row(change.api, one) for one in made]),
        facts={"vmids": [one.guest.vmid for one in made]},
    )


def row(client: Client, one: found.Found) -> tuple[object, ...]:
    """One template, below HEADS."""
    state, problem = _state(client, one)
    clones = len(found.linked_clones(client, one))
    sum_ = one.notes.checksum.rpartition(":")[2][:8]
    return (
        one.guest.name, one.guest.vmid, one.guest.node, f"{state}: {problem}" if problem else state, one.notes.file,
        sum_, one.notes.built or "-", clones,
    )  # fmt: skip


def _state(client: Client, one: found.Found) -> tuple[str, str]:
    """(state, what is wrong): a template, a newer one of whose image is known, or what is no template."""
    if BUILDING in one.guest.tags:
        return "being built" if one.notes.is_alive() else "interrupted", ""
    if problems := found.problems(one.config, client.storages(one.guest.node) or {}):
        return "broken", "; ".join(problems)
    if RETIRED in one.guest.tags:
        return "retired", ""
    newest = lock.read().get(one.notes.image)
    return ("older than the lock" if newest and newest.file != one.notes.file else "ready"), ""
