"""The rules of the plan guard: what a plan must not do to a machine, each with the reason and the way out."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from fleet.findings import Finding
from fleet.plans import disks, limits, takeover
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
    drop: Collection[tuple[str, str]] = ()  # machine and slot, by [drop-disk NAME SLOT]
    accepted: str = ""  # the digest of the machines that a person lets end at once


def judge(
    found: Collection[Change], allowed: Allowed, unseen: Mapping[str, Collection[Difference]] | None = None
) -> list[Finding]:
    """What must not happen. `unseen`: by machine, what the provider would lose although its plan does not show it."""
    findings: list[Finding] = []
    for change in found:
        refusals = [limits.of_protected(change), *disks.refusals(change, allowed.known, allowed.drop)]
        refusals += takeover.refusals(
            change, allowed.known, allowed.adopt, (unseen or {}).get(change.name, ())
        )
        if change.name not in allowed.destroy:
            refusals += [_destroys(change, allowed.known), _made_again(change, allowed.known)]
        elif change.kind in ("none", "update"):
            message = f"[destroy {change.name}] has no effect: the file exists, and the machine need not be recreated"
            findings.append(Finding(f"{message}; to remove the machine, remove its file", level="notice"))
        findings += [Finding(f"refused: {text}") for text in refusals if text]
        findings += disks.undropped(change, allowed.drop)
    limited = [limits.of_share(found, allowed.accepted), *limits.of_quorum(found)]
    findings += [Finding(f"refused: {text}") for text in limited if text]
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
        renamed = f"if it has a new name, write `formerly: {name}` into its file"
        return f"would destroy {name}; restore {name}.yaml, or {renamed}, or {approve}"
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
