"""What Proxmox does where a guest's configuration says nothing, which is not what the provider reads then.

A machine that is taken over says these values, so that a plan shows changes that are none.
"""

import copy
from collections.abc import Mapping
from typing import Any

from fleet.plans.plan import Change
from fleet.proxmox import properties

# By option: the block and the attribute (no block: the attribute stands alone), and Proxmox's own value.
_OWN = {
    "cpu": ("cpu", "type", "kvm64"),
    "memory": ("memory", "dedicated", 512),
    "ostype": ("operating_system", "type", "other"),
    "scsihw": ("", "scsi_hardware", "lsi"),
}


def completed(change: Change, config: Mapping[str, Any]) -> Change:
    """The change of a guest that exists, with what it has and the provider did not read. `config`: as Proxmox answers
    it.
    """
    before = copy.deepcopy(dict(change.before))
    for option, (block, attribute, value) in _OWN.items():
        if option in config:
            continue
        if not block:
            before[attribute] = value
        elif given := change.after.get(block):
            # A block with nothing but the provider's defaults is not read at all.
            before[block] = [(before.get(block) or [_default(given[0], attribute)])[0] | {attribute: value}]
    for drive in change.after.get("cdrom") or ():
        has = properties.parse(str(config.get(drive["interface"], "")))
        if not before.get("cdrom") and has.get("media") == "cdrom" and has.get("file") == drive["file_id"]:
            before["cdrom"] = change.after["cdrom"]
    return change._replace(before=before)


def _default(given: Mapping[str, Any], attribute: str) -> dict[str, Any]:
    return {key: 1 if key in ("cores", "sockets") else None for key in given if key != attribute}
