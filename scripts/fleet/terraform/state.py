"""Terraform's state, as `terraform state pull` prints it: which machines it has."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from fleet.findings import Fault

TYPE = "proxmox_virtual_environment_vm"


class StateMachine(NamedTuple):
    """What the state says of one machine; `disks` as a VM file would give them."""

    vmid: int
    node: str
    tainted: bool
    address: str  # as terraform's commands take it
    disks: dict[str, dict[str, Any]]


def parse(text: str, label: str = "state") -> dict[str, StateMachine]:
    """Machine name to its entry; no text is an empty state. Raises Fault when it is no state (version 4)."""
    if not text.strip():
        return {}
    try:
        state = json.loads(text)
        if state["version"] != 4:
            raise KeyError("version")
        return machines(state)
    except (ValueError, KeyError, TypeError) as error:
        raise Fault("is not what `terraform state pull` prints", label, code=2) from error


def machines(state: Mapping[str, Any]) -> dict[str, StateMachine]:
    found = {}
    for resource in state.get("resources") or []:
        if resource.get("type") != TYPE or resource.get("mode") != "managed":
            continue
        module = f"{resource['module']}." if resource.get("module") else ""
        for instance in resource["instances"]:
            name = instance.get("index_key")
            values = instance["attributes"]
            if not isinstance(name, str) or "deposed" in instance:
                continue
            found[name] = StateMachine(
                vmid=int(values["vm_id"]),
                node=values["node_name"],
                tainted=instance.get("status") == "tainted",
                address=f'{module}{TYPE}.{resource["name"]}["{name}"]',
                disks={
                    disk["interface"]: {"size": int(disk["size"]), "storage": disk["datastore_id"]}
                    for disk in values.get("disk") or []
                    if disk["interface"]
                },
            )
    return found
