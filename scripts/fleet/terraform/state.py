"""Terraform's state, as `terraform state pull` prints it: the machines that it records."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from fleet.findings import Fault
from fleet.vms.machine import Disk, is_marked
from fleet.vms.values import discards, disk_defaults

TYPE = "proxmox_virtual_environment_vm"
HA = "proxmox_haresource"


class Resource(NamedTuple):
    """What the state records of one machine."""

    vmid: int
    node: str
    tainted: bool
    address: str  # as terraform's commands take it
    disks: tuple[Disk, ...]
    attributes: Mapping[str, Any] = {}  # all that the provider keeps of it
    adopted: bool = False  # somebody else made it, and an apply took it over

    def is_adopted(self, name: str) -> bool:
        """`adopted`, or left by a takeover that was cut off before it put our mark into the notes."""
        told = self.attributes.get("description")
        return self.adopted or (told is not None and not is_marked(told, name))


def parse(text: str, label: str = "state") -> dict[str, Resource]:
    """Each machine's name and entry; no text is an empty state. Raises Fault for anything but a state (version 4)."""
    if not text.strip():
        return {}
    try:
        state = json.loads(text)
        if state["version"] != 4:
            raise KeyError("version")
        return machines(state)
    except (ValueError, KeyError, TypeError) as error:
        raise Fault("is not what `terraform state pull` prints", label, code=2) from error


def machines(state: Mapping[str, Any]) -> dict[str, Resource]:
    found = {}
    output = (state.get("outputs") or {}).get("adopted") or {}
    for resource in state.get("resources") or []:
        if resource.get("type") != TYPE or resource.get("mode") != "managed":
            continue
        module = f"{resource['module']}." if resource.get("module") else ""
        for instance in resource["instances"]:
            name = instance.get("index_key")
            values = instance["attributes"]
            if not isinstance(name, str) or "deposed" in instance:
                continue
            found[name] = Resource(
                vmid=int(values["vm_id"]),
                node=values["node_name"],
                tainted=instance.get("status") == "tainted",
                address=f'{module}{TYPE}.{resource["name"]}["{name}"]',
                disks=tuple(
                    _disk(disk, values.get("scsi_hardware") or "")
                    for disk in values.get("disk") or []
                    if disk["interface"]
                ),
                attributes=values,
                adopted=name in (output.get("value") or ()),
            )
    for resource in state.get("resources") or []:
        if resource.get("type") == HA:
            for instance in resource["instances"]:
                name = instance.get("index_key")
                if name in found:
                    has = {**found[name].attributes, "ha": instance["attributes"]}
                    found[name] = found[name]._replace(attributes=has)
    return found


def finished(have: Mapping[str, Resource]) -> set[str]:
    """The machines that an earlier run made, or took over, to the end: those with our mark, and not tainted."""
    return {
        name
        for name, resource in have.items()
        if not resource.tainted and is_marked(resource.attributes.get("description"), name)
    }


def _disk(disk: Mapping[str, Any], scsihw: str) -> Disk:
    defaults = disk_defaults(disk["interface"], scsihw)
    has = {key: disk[key] for key in defaults if disk.get(key) is not None}
    if "discard" in has:
        has["discard"] = discards(has["discard"])
    options = {key: value for key, value in has.items() if value != defaults[key]}
    return Disk(disk["interface"], int(disk["size"]), disk["datastore_id"], **options)


def ipconfig(block: Mapping[str, Any]) -> str:
    """One of the provider's blocks `ip_config` as Proxmox and the VM file write it."""
    names = {"ipv4": ("ip", "gw"), "ipv6": ("ip6", "gw6")}
    return ",".join(
        f"{name}={part[key]}"
        for kind, both in names.items()
        for part in block.get(kind) or []
        for name, key in zip(both, ("address", "gateway"), strict=True)
        if part.get(key)
    )
