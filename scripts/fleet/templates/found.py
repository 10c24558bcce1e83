"""What Proxmox has of a template: the one in use, those that are being built, and those before it."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from fleet.proxmox import disks
from fleet.proxmox.client import Client
from fleet.proxmox.guest import BUILDING, RETIRED, Guest
from fleet.templates import notes as marks


class Found(NamedTuple):
    """A guest that is one of our templates or is to become one, with its configuration."""

    guest: Guest
    config: Mapping[str, Any]
    notes: marks.Notes

    def __str__(self) -> str:
        return f"{self.guest.name} (VMID {self.guest.vmid} on {self.guest.node})"

    @property
    def path(self) -> str:
        return f"nodes/{self.guest.node}/qemu/{self.guest.vmid}"


def problems(config: Mapping[str, Any], storages: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Why a guest is no template that can be cloned; `storages`: those of its node."""
    if not int(config.get("template") or 0):
        return ["it is not a template"]
    return [f"its disk {volume} was not converted" for volume in disks.unconverted(config, storages).values()]


def of_image(client: Client, cluster: Iterable[Guest], image: str, name: str, node: str = "") -> list[Found]:
    """All that builds of this template made, the newest VMID last; on one node, or on all."""
    near = [guest for guest in cluster if image in guest.tags]  # so that few configurations are read
    return [one for one in all_of(client, near, node) if one.notes.name == name]


def all_of(client: Client, cluster: Iterable[Guest], node: str = "") -> list[Found]:
    """Everything that builds made, of whatever template; by name, the newest last.

    Of a guest that is seconds old the cluster's list has the tags, and neither its name nor that it is a template.
    """
    found = []
    for guest in cluster:
        marked = {marks.TEMPLATE, BUILDING, RETIRED} & set(guest.tags)
        if guest.container or not marked or node not in ("", guest.node):
            continue
        config = client.config(guest.node, guest.vmid)
        notes = marks.parse(config.get("description"))
        if notes and notes.vmid == guest.vmid:
            template = bool(int(config.get("template") or 0))
            guest = guest._replace(name=str(config.get("name", "")), template=template)
            found.append(Found(guest, config, notes))
    return sorted(found, key=lambda one: (one.notes.name, one.guest.node, one.guest.vmid))


def linked_clones(client: Client, one: Found) -> list[int]:
    """The VMIDs whose disks need this template's. On thin LVM none does: its volumes outlive their origin."""
    base, clones = f"base-{one.guest.vmid}-", set()
    for storage in sorted({text.partition(":")[0] for text in disks.volumes(one.config).values()}):
        for entry in client.get(f"nodes/{one.guest.node}/storage/{storage}/content", content="images"):
            inside = str(entry["volid"]).partition(":")[2].rpartition("/")[0]
            if base in inside or str(entry.get("parent", "")).startswith(base):
                clones.add(int(entry["vmid"]))
    return sorted(clones - {one.guest.vmid})


def is_running(client: Client, path: str) -> bool:
    """Asked of its node: the cluster's list may be seconds old."""
    return client.get(f"{path}/status/current")["status"] == "running"
