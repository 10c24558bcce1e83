"""Stage 5, its second half: the new template takes over the name, and those before it go once nobody needs them.

First the old one away, then the new one in: two templates of one name would make the next plan of the fleet a choice,
and none of that name concerns only machines that are made in this moment.
"""

import datetime
from collections.abc import Mapping
from typing import Any

from fleet.builds import create, plan
from fleet.proxmox.change import Change, Result
from fleet.proxmox.guest import RETIRED
from fleet.templates import found, remove
from fleet.templates.notes import TEMPLATE


def run(change: Change, arguments: Mapping[str, Any]) -> Result:
    planned = plan.taken(arguments)
    name = planned.spec.name
    if change.check and planned.building is None:
        return Result(True, f"the new template would become {name}")
    one = create.guest_of(change, planned, planned.building)
    made = _made(change, planned)
    named = [other for other in made if other.guest.name == name and other.guest.vmid != one.guest.vmid]
    if other := next((old for old in named if _is_same(old, planned)), None):  # of a run at the same time
        if not change.check:
            remove.destroy(change.api, one.path)
        return Result(
            message=f"{other} was built meanwhile; the second one was removed",
            facts={"vmid": other.guest.vmid},
        )
    if change.check:
        return Result(True, f"{one} would become {name}", {"name": one.guest.name}, {"name": name})
    for old in named:
        day = old.notes.built[:10].replace("-", "") or "old"
        tags = ";".join(sorted({*old.guest.tags, RETIRED} - {TEMPLATE}))
        change.api.put(f"{old.path}/config", name=f"{name}-{day}-{old.guest.vmid}", tags=tags)
        change.say(f"{old} is now called {name}-{day}-{old.guest.vmid}")
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    notes = planned.notes(one.guest.vmid)._replace(stage="done", built=now)
    change.api.put(f"{one.path}/config", name=name, tags=notes.tags(TEMPLATE), description=notes.render())
    lines = remove.unneeded(change, _made(change, planned))
    return Result(
        True, "; ".join([f"VMID {one.guest.vmid} is {name}", *lines]), {"name": one.guest.name}, {"name": name},
        {"vmid": one.guest.vmid},
    )  # fmt: skip


def _is_same(old: found.Found, planned: plan.Plan) -> bool:
    return old.notes.fingerprint == planned.fingerprint and not found.problems(old.config, planned.storages)


def _made(change: Change, planned: plan.Plan) -> list[found.Found]:
    spec = planned.spec
    return found.of_image(change.api, change.api.guests(), spec.image.name, spec.name, planned.node)
