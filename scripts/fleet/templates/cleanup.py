"""The state `cleanup`: what interrupted builds left, retired templates without clones, images that nobody needs."""

from collections.abc import Mapping
from typing import Any

from fleet.arguments import LABEL, Arguments
from fleet.findings import Fault
from fleet.images import catalogue, lock, prune
from fleet.proxmox.change import Change, Result
from fleet.templates import found, remove
from fleet.templates.names import PREFIX


def run(change: Change, arguments: Mapping[str, Any]) -> Result:
    a = Arguments(arguments, PREFIX)
    node = a.text("node", LABEL, "the name of a node")
    a.check()
    lines = remove.unneeded(change, found.all_of(change.api, change.api.guests(), node))
    used = {one.notes.file for one in found.all_of(change.api, change.api.guests(), node)}
    used |= {image.file for image in lock.read().values()}
    uploaded = [name for name, image in catalogue.read().items() if image.file]
    for place in [node] if node else [name for name, online in change.api.nodes().items() if online]:
        for storage, about in (change.api.storages(place) or {}).items():
            if "import" in str(about.get("content", "")).split(","):
                try:
                    gone = prune.prune(change.api, place, storage, used, change.check, uploaded)
                    lines += [f"{volid} is removed" for volid in gone]
                except Fault as fault:  # the token need not have this right
                    lines.append(str(fault))
    changed = any(line.endswith("is removed") for line in lines)
    return Result(changed, "\n".join(lines) or "there is nothing to clean up")
