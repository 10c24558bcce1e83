"""The rules of the plan guard: what a plan must not do to a machine, each with the reason and the way out."""

import re
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from fleet.findings import Finding
from fleet.plans import takeover
from fleet.plans.fields import FIELDS, Difference
from fleet.plans.plan import Change
from fleet.plans.text import short
from fleet.terraform import program

MAX_CHANGES = 20


class Allowed(NamedTuple):
    """What a plan may do: `known` are the managed machines of the inventory and those that the state has as finished,
    the rest is what people approved.
    """

    known: Collection[str] = ()
    destroy: Collection[str] = ()  # by [destroy NAME]
    adopt: Collection[str] = ()  # by [adopt NAME]
    max_changes: int = MAX_CHANGES


def judge(
    found: Collection[Change], allowed: Allowed, unseen: Mapping[str, Collection[Difference]] | None = None
) -> list[Finding]:
    """What must not happen. `unseen`: by machine, what the provider would lose although its plan does not show it."""
    findings: list[Finding] = []
    for change in found:
        refusals = _disks(change, allowed.known)
        refusals += takeover.refusals(
            change, allowed.known, allowed.adopt, (unseen or {}).get(change.name, ())
        )
        if change.name not in allowed.destroy:
            refusals += [_destroys(change, allowed.known), _made_again(change, allowed.known)]
        elif change.kind in ("none", "update"):
            message = f"[destroy {change.name}] has no effect: the file exists, and the machine need not be recreated"
            findings.append(Finding(f"{message}; to remove the machine, remove its file", level="notice"))
        findings += [Finding(f"refused: {text}") for text in refusals if text]
    count = sum(change.kind != "none" and not takeover.is_harmless(change) for change in found)
    if count > allowed.max_changes:
        findings.append(
            Finding(
                f"refused: {count} machines would change at once; the limit is {allowed.max_changes}. Check the"
                f" plan; if this is intended, run with --max-changes {count}"
                " or raise the repository variable MAX_CHANGES for a while"
            )
        )
    return findings


def _destroys(change: Change, known: Collection[str]) -> str | None:
    name = change.name
    approve = f"if that is intended, commit with [destroy {name}]"
    if change.kind == "destroy":
        return f"would destroy {name}; restore {name}.yaml, or {approve}"
    if change.kind != "replace":
        return None
    if change.tainted:
        if name not in known:
            return None  # it was never finished; apply_terraform.py untaints it before the apply
        return (
            f"would destroy and recreate {name}, because the state marks it as tainted;"
            f" run `{program.name()} untaint`, or {approve}"
        )
    why = " and ".join(f"{_field(key)} ({short(change, key)})" for key in change.reasons) or "its identity"
    return f"would destroy and recreate {name} because of {why}; revert that, or {approve}"


def _field(key: str) -> str:
    """What a person calls the attribute of a replacement; of an unknown block its name says enough."""
    block, dot, _ = key.partition(".")
    return FIELDS.get(key, block) if dot else key


def _made_again(change: Change, known: Collection[str]) -> str | None:
    if change.kind != "create" or change.name not in known:
        return None
    return (
        f"would create {change.name} a second time: it was there before, but Proxmox does not list it. Check that"
        f" the API token still has VM.Audit and that the state is intact. If the machine is really gone, commit with"
        f" [destroy {change.name}] to recreate it"
    )


def _disks(change: Change, known: Collection[str]) -> list[str | None]:
    """Disks that would be lost, shrunk, moved or attached twice."""
    if change.kind not in ("update", "import"):
        return []
    name = change.name
    refusals: list[str | None] = []
    unfinished = takeover.is_unfinished(change, known)
    for slot, old, new in change.disks():
        if old and not new and not unfinished:
            refusals.append(
                f"would remove {slot} ({old['size']}G on {old['datastore_id']}) from {name}; write it into the file,"
                " or detach it in Proxmox first"
            )
        elif old and new and new["size"] < old["size"]:
            refusals.append(
                f"would shrink {slot} of {name} from {old['size']}G to {new['size']}G, but disks cannot shrink; set"
                f" the size back to {old['size']}G"
            )
        elif old and new and new["datastore_id"] != old["datastore_id"] and change.running:
            refusals.append(
                f"would move {slot} of {name} from {old['datastore_id']} to {new['datastore_id']}, for which"
                " the provider cuts the power; move it in Proxmox, which need not, then change the file"
            )
        elif old and new and _is_linked(old) and _grows_or_moves(old, new):
            refusals.append(
                f"would enlarge or move {slot} of {name}, which is a linked clone's and which the provider cannot; do"
                " it in Proxmox, then change the file"
            )
    before, after = change.before.get("disk") or [], change.after.get("disk") or []
    removes = any(old and not new for _, old, new in change.disks())
    for old, new in zip(before, after, strict=False):
        if old["interface"] not in (None, new["interface"]) and not (unfinished or removes):
            refusals.append(
                f"would attach the volume of {old['interface']} as {new['interface']} of {name}; add disks after"
                f" the last one ({before[-1]['interface']}), never between two"
            )
            break
    return refusals


def _is_linked(disk: Mapping[str, Any]) -> bool:
    """Whether the volume's name begins with that of the template's, by which the provider takes it for another's."""
    return bool(re.match(r"(\d+/)?base-", str(disk.get("path_in_datastore") or "")))


def _grows_or_moves(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    return new["size"] > old["size"] or new["datastore_id"] != old["datastore_id"]
