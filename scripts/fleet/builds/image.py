"""Stage 2: the image onto the node's storage, by the node itself, with its checksum."""

from collections.abc import Mapping
from typing import Any

from fleet.builds import plan
from fleet.images import volume
from fleet.proxmox.change import Change, Result


def run(change: Change, arguments: Mapping[str, Any]) -> Result:
    planned = plan.taken(arguments)
    spec = planned.spec
    brought = volume.bring(
        change.api, planned.node, planned.image_storage, spec.image, change.say,
        check=change.check, timeout=spec.timeout,
    )  # fmt: skip
    return Result(brought.changed, brought.message, after={"image": brought.volid})
