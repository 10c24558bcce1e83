"""Guests that somebody else made: a takeover changes nothing in them without that person's word."""

from collections.abc import Collection, Mapping
from typing import Any

from fleet.plans.differences import differences
from fleet.plans.fields import Difference
from fleet.plans.plan import Change
from fleet.plans.values import shown
from fleet.vms.machine import TAG, is_marked


def is_foreign(change: Change, known: Collection[str]) -> bool:
    """Whether the guest lacks our mark, and is not known from before either."""
    return bool(change.before) and change.name not in known and not has_mark(change)


def is_unfinished(change: Change, known: Collection[str]) -> bool:
    """Whether the guest is a clone of ours whose run was cut off: what it has came with the template."""
    return change.imported and change.name not in known and has_mark(change)


def has_mark(change: Change) -> bool:
    names = (change.name, change.formerly or change.name)
    return any(is_marked(change.before.get("description"), name) for name in names)


def finished(change: Change) -> str | None:
    """The machine's name, if the state has it as one of ours that was made to the end."""
    return change.name if has_mark(change) and not (change.imported or change.tainted) else None


def is_harmless(change: Change) -> bool:
    """Whether a takeover, or the rest of one that was cut off, adds nothing to the guest but our mark and our tag."""
    taken = change.kind == "import" or (change.kind == "update" and not has_mark(change))
    return taken and all(map(_is_only_ours, differences(change)))


def refusals(
    change: Change, known: Collection[str], adopted: Collection[str], unseen: Collection[Difference] = ()
) -> list[str]:
    """What the plan would change although neither the file nor a commit says so, each with the way out.

    In a guest that somebody else made that is every value; in one of ours what a VM file cannot say. `unseen`:
    what the provider would lose although its plan does not show it.
    """
    name = change.name
    if change.kind not in ("update", "import") or name in adopted or (name not in known and has_mark(change)):
        return _cloud_init(change)
    foreign = is_foreign(change, known)
    found = [*differences(change), *unseen]
    found = [one for one in found if foreign or not one.said]
    found = [one for one in found if not (_is_only_ours(one) or _is_of_disks(one))]
    if not found:
        return _cloud_init(change)
    vmid, node = change.before.get("vm_id"), change.before.get("node_name")
    place = f"{name} (VMID {vmid} on {node})"
    verb = f"taking {place} over would change" if foreign else f"would change in {place}"
    lines = [f"{verb} {one}{_keep(one, name)}" for one in found]
    what = "the guest was not made from this file" if foreign else "somebody set this in Proxmox"
    lines.append(f"{what}; if {name} may be changed as said above, commit with [adopt {name}]")
    return [*lines, *_cloud_init(change)]


def _keep(one: Difference, name: str) -> str:
    """How the file keeps the old value."""
    if not one.said:
        return "; a VM file cannot say it"
    if one.old in (None, "", [], 0) and one.old is not False:
        return ""
    value = _as_in_a_file(one.field, one.old)
    written = f"`{one.field}: {value}`" if value else one.field
    return f"; to keep it, write {written} into {name}.yaml"


def _as_in_a_file(field: str, value: Any) -> str:
    """A value in the form of a VM file, on one line; empty where it needs more."""
    lists = {"tags": ";".join, "nameserver": " ".join, "boot": lambda slots: f"order={';'.join(slots)}"}
    if isinstance(value, list | dict) and field not in (*lists, "ipconfig0"):
        return ""
    text = lists[field](value) if field in lists else shown(field, value)
    if field.endswith(".size"):
        text += "G"
    return "" if text.endswith("…") or "\\" in text else text


def _is_only_ours(one: Difference) -> bool:
    """Whether nothing but our mark and our tag are added."""
    if one.field == "tags":
        return set(one.new or ()) - {TAG} == set(one.old or ()) - {TAG}
    if one.field == "description":
        *kept, last = str(one.new).rstrip().splitlines() or [""]
        return last.startswith(f"{TAG}:") and "\n".join(kept).strip() == str(one.old or "").strip()
    return False


def _is_of_disks(one: Difference) -> bool:
    """Whether the guard's rules for disks, which no commit can lift, speak of it already."""
    if not one.field.startswith("disks."):
        return False
    if one.field.endswith(".size"):
        return one.new < one.old
    return one.new is None


def _cloud_init(change: Change) -> list[str]:
    """The provider refuses to add or move the cloud-init drive of a guest that runs, in every run."""
    if not (change.running and change.after):
        return []
    old, new = (_drive(side) for side in (change.before, change.after))
    if old == new or not new:
        return []
    where = f"has its cloud-init drive as {old}" if old else "has no cloud-init drive"
    vmid = change.before.get("vm_id")
    return [
        f"{change.name} (VMID {vmid}) runs and {where}, and needs one as {new}, which can only be made while it is"
        f" stopped: shut it down, run this again, and start it"
    ]


def _drive(values: Mapping) -> str:
    blocks = values.get("initialization") or []
    if not blocks or not (blocks[0] or {}).get("interface"):
        return ""
    return f"{blocks[0]['interface']} on {blocks[0]['datastore_id']}"
