"""Whether a machine is there and as the variables ask; the step `verify` changes nothing.

`run` fails with all that is wrong. With `compare` it only says what differs, for a create of what is there already.
"""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from fleet.findings import Fault
from fleet.lifecycle import machine, options, owner, power, template
from fleet.lifecycle.machine import Found
from fleet.lifecycle.spec import Spec, read
from fleet.proxmox import compare, disks, properties
from fleet.proxmox.change import Change, Result, told
from fleet.proxmox.client import Client


@told
def run(change: Change, arguments: Mapping[str, Any]) -> Result:
    spec = read(arguments)
    found = machine.existing(change.api, spec)
    differences = differing(found, spec)
    other = worded(differences)
    status = str(change.api.get(f"{found.path}/status/current").get("status"))
    facts = {**found.facts, "status": status, "maker": _maker(found.owner), "differences": differences}
    if arguments.get("compare"):
        way = f" differs ({'; '.join(other)}): use state modify" if other else " is as asked for"
        return Result(message=f"{found.label} is there already and{way}", facts=facts)
    problems = [*_broken(change.api, found), *other]
    if problems:
        raise Fault(f"{found.label}: {'; '.join(problems)}")
    address = power.address(change.api, found) if status == "running" else ""
    made = f"made by {facts['maker']}"
    where = f", at {address}" if address else ""
    return Result(message=f"{found.label} is {status}{where}, {made}", facts=facts | {"address": address})


def worded(differences: Mapping[str, tuple[str, str]]) -> list[str]:
    return [f"{name} is {now or 'not set'}, wanted {then}" for name, (now, then) in differences.items()]


def differing(found: Found, spec: Spec) -> dict[str, tuple[str, str]]:
    """What of the machine is not as the variables ask: (as it is, as it is wanted)."""
    wanted = options.asked(spec, found.config) | options.asked_of_cloud_init(spec)
    if spec.description:
        mark = owner.line(str(found.config.get("name")), found.owner.origin)
        wanted["description"] = owner.described(spec.description, mark if found.owner.role else "")
    changes = compare.differences(found.config, wanted)
    shown = {name: tuple(compare.shown(name, value) for value in pair) for name, pair in changes.items()}
    for slot, (gib, exact) in options.asked_of_disks(spec, found.config).items():
        size = options.size_mib(found.config, slot)
        if size < gib * 1024 or (exact and size != gib * 1024):
            shown[slot] = (properties.size_text(int(size)), f"{gib}G")
    origin, wanted_origins = found.owner.origin, template.origins(spec)
    if origin and wanted_origins and origin not in wanted_origins:
        shown["made from"] = (origin, wanted_origins[0])
    if spec.node and spec.node != found.guest.node:
        shown["node"] = (found.guest.node, spec.node)
    return shown


def _broken(api: Client, found: Found) -> Iterator[str]:
    if found.owner.role and not found.owner.finished:
        yield owner.UNFINISHED
    if lock := found.config.get("lock"):
        yield f"it is locked ({lock})"
    there: dict[str, set[str] | None] = {}
    for slot, volume in disks.volumes(found.config).items():
        storage = volume.partition(":")[0]
        if storage not in there:
            path = f"nodes/{found.guest.node}/storage/{quote(storage)}/content"
            told = api.if_told(path, vmid=found.guest.vmid)
            there[storage] = None if told is None else {entry["volid"] for entry in told}
        if there[storage] is not None and volume not in there[storage]:
            yield f"the volume {volume} of {slot} is gone"


def _maker(one: owner.Owner) -> str:
    return "this role" if one.role else "Terraform" if one.fleet else "somebody else"
