"""What a plan does, in words and as data."""

from collections.abc import Collection, Mapping
from typing import Any

from fleet.findings import printable
from fleet.plans.plan import OURS, Change


def short(change: Change, key: str) -> str:
    """Old and new value, where they fit on a line. `key`: an attribute, or one of a block, as `clone.vm_id`."""
    old, new = _at(change.before, key), _at(change.after, key)
    if key == "memory" and old and new:
        old, new = old[0].get("dedicated"), new[0].get("dedicated")
    if key == "disk":
        return " ".join(
            f"{slot} {old['size'] if old else '-'}G → {new['size'] if new else '-'}G"
            for slot, old, new in change.disks()
            if (old or {}).get("size") != (new or {}).get("size")
        )
    plain = all(isinstance(value, str | int | bool) and "\n" not in str(value) for value in (old, new))
    return (
        printable(" → ".join("none" if value == "" else str(value) for value in (old, new))) if plain else ""
    )


def _at(values: Mapping[str, Any], key: str) -> Any:
    found: Any = values
    for step in key.split("."):
        found = (next(iter(found), None) if isinstance(found, list) else found) or {}
        found = found.get(step)
    return found


def as_data(found: Collection[Change]) -> dict[str, Any]:
    """What the plan does: machines by kind of change, restarts, new host keys, moves."""
    by_kind = {
        kind: [change.name for change in found if change.kind == kind]
        for kind in ("create", "import", "update", "replace", "destroy")
    }
    return by_kind | {
        "renamed": {change.name: change.formerly for change in found if change.formerly},
        "restart": {change.name: list(change.restart) for change in found if change.restart},
        "host_keys": [change.name for change in found if change.renews_host_keys],
        "move": {
            c.name: c.after["node_name"] for c in found if c.kind == "update" and "node_name" in c.changed
        },
    }


def lines(found: Collection[Change]) -> list[str]:
    """What the plan does, a line for each machine and each consequence."""
    text = [f"{change.kind:8}{change.name}{_detail(change)}" for change in found if change.kind != "none"]
    data = as_data(found)
    for name, reasons in data["restart"].items():
        text.append(
            f"restart needed: {name} ({', '.join(reasons)}); no downtime: takes effect at the next restart"
        )
    for name in data["host_keys"]:
        text.append(
            f"new host keys: {name}, at its next restart, because cloud-init will treat it as a new machine"
        )
    return text or ["no changes"]


def _detail(change: Change) -> str:
    if change.kind == "create":
        return f" (VMID {change.after.get('vm_id')} on {change.after.get('node_name')})"
    if change.kind in ("update", "import"):
        changed = [key for key in change.changed if key not in OURS]
        changed += ["ha"] if change.service[0] != change.service[1] else []
        was = f" (formerly {change.formerly})" if change.formerly else ""
        return f"{was}: " + (
            ", ".join(f"{key} {short(change, key)}".strip() for key in changed) or "nothing in Proxmox"
        )
    return ""
