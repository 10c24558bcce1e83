"""The plan guard's rules for disks: what a plan must not do to one, and which may go.

`drop`: machine and slot of the disks that commits let go, by [drop-disk NAME SLOT].
"""

import re
from collections.abc import Collection, Mapping
from typing import Any

from fleet.findings import Finding
from fleet.plans import takeover
from fleet.plans.plan import Change


def undropped(change: Change, drop: Collection[tuple[str, str]]) -> list[Finding]:
    """A notice for each disk that may go and stays, or is not there."""
    slots = {slot: new for slot, _, new in change.disks()}
    found = []
    for name, slot in sorted(drop):
        if name == change.name and change.after and slots.get(slot, {}) is not None:
            why = f"take {slot} out of {name}.yaml too" if slot in slots else f"{name} has no {slot}"
            found.append(Finding(f"[drop-disk {name} {slot}] has no effect: {why}", level="notice"))
    return found


def _may_go(change: Change, slot: str, drop: Collection[tuple[str, str]]) -> bool:
    """Whether a commit lets this disk go and it is one of the last: the provider matches the others by position."""
    order = [disk["interface"] for disk in change.before.get("disk") or []]
    after = order[order.index(slot) :]
    return order.index(slot) > 0 and all((change.name, one) in drop for one in after)


def refusals(change: Change, known: Collection[str], drop: Collection[tuple[str, str]]) -> list[str]:
    """Disks that would be lost, shrunk, moved or attached twice."""
    if change.kind not in ("update", "import"):
        return []
    name = change.name
    found: list[str] = []
    unfinished = takeover.is_unfinished(change, known)
    for slot, old, new in change.disks():
        if old and not new and not (unfinished or _may_go(change, slot, drop)):
            found.append(
                f"would remove {slot} ({old['size']}G on {old['datastore_id']}) from {name}; write it into the file,"
                " or detach it in Proxmox first. The last disk may go with a commit that says"
                f" [drop-disk {name} {slot}]: its volume stays in Proxmox as an unused disk of the machine"
            )
        elif old and new and new["size"] < old["size"]:
            found.append(
                f"would shrink {slot} of {name} from {old['size']}G to {new['size']}G, but disks cannot shrink; set"
                f" the size back to {old['size']}G"
            )
        elif old and new and new["datastore_id"] != old["datastore_id"] and change.running:
            found.append(
                f"would move {slot} of {name} from {old['datastore_id']} to {new['datastore_id']}, for which"
                " the provider cuts the power; move it in Proxmox, which need not, then change the file"
            )
        elif old and new and _is_linked(old) and _grows_or_moves(old, new):
            found.append(
                f"would enlarge or move {slot} of {name}, which is a linked clone's and which the provider cannot; do"
                " it in Proxmox, then change the file"
            )
    before, after = change.before.get("disk") or [], change.after.get("disk") or []
    removes = any(old and not new for _, old, new in change.disks())
    for old, new in zip(before, after, strict=False):
        if old["interface"] not in (None, new["interface"]) and not (unfinished or removes):
            found.append(
                f"would attach the volume of {old['interface']} as {new['interface']} of {name}; add disks after"
                f" the last one ({before[-1]['interface']}), never between two"
            )
            break
    return found


def _is_linked(disk: Mapping[str, Any]) -> bool:
    """Whether the volume's name begins with that of the template's, by which the provider takes it for another's."""
    return bool(re.match(r"(\d+/)?base-", str(disk.get("path_in_datastore") or "")))


def _grows_or_moves(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    return new["size"] > old["size"] or new["datastore_id"] != old["datastore_id"]
