"""The rules of the plan guard: what a plan must not do to a machine, with who, what and the way out."""

import os
from collections.abc import Collection

from fleet.findings import Fault, Finding
from fleet.terraform.plan import Change, short

MAX_CHANGES = 20


def limit() -> int:
    """MAX_CHANGES, a variable of the repository, or what is usual. Raises Fault."""
    text = os.environ.get("MAX_CHANGES") or str(MAX_CHANGES)
    if not text.isdecimal():
        raise Fault(f"MAX_CHANGES is {text!r}; it must be a number", code=2)
    return int(text)


def judge(
    found: Collection[Change],
    known: Collection[str] = (),
    approved: Collection[str] = (),
    max_changes: int = MAX_CHANGES,
) -> list[Finding]:
    """What must not happen. `known`: managed machines of the inventory; `approved`: by [destroy NAME]."""
    findings: list[Finding] = []
    for change in found:
        refusals = _disks(change, known)
        if change.name not in approved:
            refusals += [_destroys(change, known), _made_again(change, known)]
        elif change.kind in ("none", "update"):
            message = (
                f"[destroy {change.name}] destroys nothing: the file is there, and needs no other machine"
            )
            findings.append(Finding(f"{message}; to remove the machine, remove its file", level="notice"))
        findings += [Finding(f"refused: {text}") for text in refusals if text]
    count = sum(change.kind != "none" for change in found)
    if count > max_changes:
        findings.append(
            Finding(
                f"refused: {count} machines would change at once, which is more than {max_changes}; look at"
                f" the plan, and if it is meant so, run with --max-changes {count}"
                " or set the repository's variable MAX_CHANGES for a while"
            )
        )
    return findings


def _destroys(change: Change, known: Collection[str]) -> str | None:
    name = change.name
    approve = f"if that is meant, say [destroy {name}] in a commit"
    if change.kind == "destroy":
        return f"would destroy {name}; put {name}.yaml back, or {approve}"
    if change.kind != "replace":
        return None
    if change.tainted:
        if name not in known:
            return None  # it was never finished, and an apply by apply_terraform.py takes the mark off before
        return (
            f"would destroy {name} and make it anew, since the state marks it as tainted;"
            f" `terraform untaint` it, or {approve}"
        )
    why = " and ".join(f"{key} ({short(change, key)})" for key in change.reasons) or "its identity"
    return f"would destroy {name} and make it anew, for {why}; put that back, or {approve}"


def _made_again(change: Change, known: Collection[str]) -> str | None:
    if change.kind != "create" or change.name not in known:
        return None
    return (
        f"would create {change.name}, which the inventory has already: Proxmox does not show it any more;"
        f" see whether the token lost VM.Audit or the state was lost, and if the machine is really gone, say"
        f" [destroy {change.name}] in a commit to have it made anew"
    )


def _disks(change: Change, known: Collection[str]) -> list[str | None]:
    """Disks that would be lost, shrunk, moved or attached twice."""
    if change.kind not in ("update", "import"):
        return []
    name = change.name
    refusals: list[str | None] = []
    unfinished = change.imported and name not in known  # its other disks came with the template
    for slot, old, new in change.disks():
        if old and not new and not unfinished:
            refusals.append(
                f"would take {slot} ({old['size']}G on {old['datastore_id']}) away from {name}; put it back,"
                " or detach it in Proxmox first"
            )
        elif old and new and new["size"] < old["size"]:
            refusals.append(
                f"would shrink {slot} of {name} from {old['size']}G to {new['size']}G, which no disk can; put"
                f" the size back to {old['size']}G"
            )
        elif old and new and new["datastore_id"] != old["datastore_id"] and change.running:
            refusals.append(
                f"would move {slot} of {name} from {old['datastore_id']} to {new['datastore_id']}, for which"
                " the provider cuts the power; move it in Proxmox, which can, then change the file"
            )
    before, after = change.before.get("disk") or [], change.after.get("disk") or []
    for old, new in zip(before, after, strict=False):
        if old["interface"] not in (None, new["interface"]) and not unfinished:
            refusals.append(
                f"would give {new['interface']} of {name} the volume of {old['interface']}; add disks behind"
                f" the last one ({before[-1]['interface']}), never between two"
            )
            break
    return refusals
