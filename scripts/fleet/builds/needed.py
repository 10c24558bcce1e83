"""The rights and the storages that a build needs."""

from collections.abc import Iterator, Mapping
from typing import Any

from fleet.builds.spec import Spec
from fleet.findings import Fault, listed
from fleet.images import download
from fleet.proxmox import disks
from fleet.proxmox.rights import Right, right

_CONFIG = ("CDROM", "CPU", "Cloudinit", "Disk", "HWType", "Memory", "Network", "Options")


def rights(spec: Spec, node: str, images: str, ready: bool) -> Iterator[Right]:
    """What a build does with Proxmox; a template that is ready needs only to be read."""
    yield right("/vms", "VM.Audit")
    if ready:
        return
    for privilege in ("VM.Allocate", *(f"VM.Config.{option}" for option in _CONFIG)):
        yield right("/vms", privilege)
    if spec.seals or spec.boot_test:
        yield right("/vms", "VM.PowerMgmt")
    yield right(f"/storage/{spec.storage}", "Datastore.AllocateSpace")
    yield right(f"/storage/{images}", "Datastore.Audit", "Datastore.AllocateSpace")
    yield from download.needed(node, images)
    yield right(f"/sdn/zones/localnetwork/{spec.bridge}", "SDN.Use")
    if spec.gpu:
        yield right(f"/mapping/pci/{spec.gpu}", "Mapping.Use")


def storages(spec: Spec, found: Mapping[str, Any], images: str, node: str, ready: bool) -> Iterator[str]:
    kinds = (
        (spec.storage, "images", "proxmox_template_storage"),
        (images, "import", "proxmox_template_image_storage"),
    )
    for name, content, variable in kinds:
        entry = found.get(name)
        if entry is None:
            yield (
                f"{node} has no storage {name}, or the token may not see it; it has"
                f" {listed(sorted(found))}: name one in {variable}"
            )
        elif content not in (has := str(entry.get("content", ""))).split(","):
            command = f"`pvesm set {name} --content {has},{content}`"
            yield f"storage {name} does not take {content}: {command} on {node}, or name another in {variable}"
        elif not entry.get("active"):
            yield f"storage {name} is not active on {node}; see `pvesm status` there"
        else:
            if content == "images":
                yield from _kind(str(entry["type"]))
            least = (spec.disk << 30 or spec.image.size) if content == "images" else spec.image.size
            if not ready and int(entry.get("avail", 0)) < least * 1.1:
                free, needed = int(entry.get("avail", 0)) >> 20, int(least * 1.1) >> 20
                yield f"storage {name} has {free} MiB left on {node}, and {needed} MiB are needed"


def _kind(storage_type: str) -> Iterator[str]:
    try:
        disks.kind(storage_type)
    except Fault as fault:
        yield str(fault)
