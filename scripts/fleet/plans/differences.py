"""What a plan changes in a guest, value by value, under the names that a VM file has for them."""

from collections.abc import Iterator, Mapping
from typing import Any

from fleet.plans import fields
from fleet.plans.fields import Difference
from fleet.plans.plan import OURS, Change
from fleet.plans.values import is_empty

# Made anew by the provider at each change, and of no meaning to a person.
_INTERNAL = {"path_in_datastore", "file_format", "file_id", "import_from", "wait_for_ip", "timeout"}
# Whole where it is changed at all: its parts mean nothing alone.
_WHOLE = ("ip_config", "serial_device")
# Blocks that only group values, with what a guest has where one is missing.
_GROUPS: dict[str, dict[str, Any]] = {
    "agent": {"type": "virtio"},
    "cpu": {"cores": 1, "sockets": 1},
    "dns": {},
    "memory": {"dedicated": 512},
    "user_account": {},
}


def differences(change: Change) -> list[Difference]:
    """What the plan changes in a guest that exists; what only the provider knows does not count."""
    if not (change.before and change.after):
        return []
    found: list[Difference] = []
    for key in change.changed:
        old, new = change.before[key], change.after[key]
        if key == "disk":
            for slot, was, will in change.disks():
                found += [fields.of_disk(slot, *one) for one in _compared(was, will, "")]
        elif key == "hostpci":  # in a list, but each says which it is
            was, will = ({device["device"]: device for device in side or []} for side in (old, new))
            for slot in sorted({*was, *will}):
                path = f"hostpci[{slot.removeprefix('hostpci')}]"
                found += [fields.named(*one) for one in _compared(was.get(slot), will.get(slot), path)]
        elif key not in OURS:
            found += [fields.named(*one) for one in _compared(old, new, key)]
    return found + _of_service(*change.service)


def _of_service(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Difference]:
    """What changes of a machine's place in the HA manager."""
    if not (old and new):
        return [Difference("ha", True, old.get("state"), new.get("state"))] if old or new else []
    names = ("state", "group", "max_restart", "max_relocate")
    return [
        Difference(f"ha.{key}", True, old.get(key), new.get(key))
        for key in names
        if old.get(key) != new.get(key)
    ]


def _compared(old: Any, new: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """(path, old, new) of each leaf, or of each block that is only on one side."""
    if old == new or (is_empty(old) and is_empty(new)):
        return
    name = path.rpartition(".")[2].partition("[")[0]
    if name in _GROUPS and path.endswith("]"):
        old, new = old or _GROUPS[name], new or _GROUPS[name]
    blocks = [
        side for side in (old, new) if isinstance(side, list) and any(isinstance(x, dict) for x in side)
    ]
    if blocks and not path.endswith("]"):
        for index in range(max(len(old or ()), len(new or ()))):
            was, will = (side[index] if side and index < len(side) else None for side in (old, new))
            yield from _compared(was, will, f"{path}[{index}]")
    elif isinstance(old, dict) and isinstance(new, dict) and name not in _WHOLE:
        for key in {**old, **new}:
            if key not in _INTERNAL or (name, key) == ("cdrom", "file_id"):
                yield from _compared(old.get(key), new.get(key), f"{path}.{key}" if path else key)
    else:
        yield path, old, new
