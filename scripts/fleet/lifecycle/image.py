"""The cloud image of a new machine: which build, where it lies, and the machine that is made of it."""

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from fleet.findings import Fault, listed
from fleet.images import lock, volume
from fleet.lifecycle import cloud_init, options, owner
from fleet.lifecycle.spec import PREFIX, Spec
from fleet.proxmox import disks
from fleet.proxmox.change import Change
from fleet.proxmox.client import Client

CORES, MEMORY = 2, 2048  # of a machine of which nothing is asked
BRIDGE = "vmbr0"
_USUAL = ("local-lvm", "local")  # the storages that Proxmox's installer makes

Storages = Mapping[str, Mapping[str, Any]]


def build(spec: Spec) -> lock.Locked:
    """Raises Fault for an image of which nothing says what it must contain."""
    found = lock.from_url(spec.image.url, spec.image.checksum)
    if not found.checksum and not spec.image.unverified:
        raise Fault(
            f"{spec.image.url} is not in the catalogue, so nothing says what it must contain: give"
            f" {PREFIX}cloud_image_checksum (sha256:…), or take whatever comes with {PREFIX}allow_not_verified: true"
        )
    return found


def bring(change: Change, spec: Spec, node: str) -> volume.Brought:
    """The image on a storage of the node, downloaded by the node itself where it is missing, and verified there."""
    wanted = build(spec)
    storage = spec.image.storage or volume.choose(change.api, node, wanted)
    return volume.bring(
        change.api, node, storage, wanted, change.say,
        check=change.check, timeout=spec.image.timeout, allow_not_verified=spec.image.unverified,
    )  # fmt: skip


def size_mib(api: Client, spec: Spec, node: str, volid: str) -> float:
    """The size of the disk in an image, which is more than that of its file; 0 while it is not there."""
    storage = volid.partition(":")[0]
    if not volume.find(api, node, storage, build(spec)):
        return 0
    return api.get(f"nodes/{node}/storage/{storage}/content/{quote(volid, safe='')}")["size"] / (1 << 20)


def storages(api: Client, node: str) -> dict[str, dict[str, Any]]:
    found = api.storages(node)
    if found is None:
        raise Fault(f"the token may not see the storages of {node}: it needs Datastore.Audit on /storage")
    return found


def volumes(api: Client, node: str, storages: Iterable[str], vmid: int) -> dict[str, int]:
    """The volumes of a VMID on some storages of a node, each with its bytes, whoever made them."""
    found = {}
    for storage in sorted(storages):
        entries = api.get(f"nodes/{node}/storage/{quote(storage)}/content", content="images")
        found |= {one["volid"]: int(one["size"]) for one in entries if int(one.get("vmid") or 0) == vmid}
    return found


def leftovers(api: Client, node: str, found: Storages, asked: Iterable[str], vmid: int) -> dict[str, int]:
    """The volumes of a VMID on all storages of a node; one that is not asked for and does not answer is left out."""
    left = volumes(api, node, asked, vmid)
    able = {name for name, about in found.items() if "images" in str(about.get("content", "")).split(",")}
    for name in sorted(able.difference(asked)):
        if int(found[name].get("active", 1) or 0):
            with contextlib.suppress(Fault):
                left |= volumes(api, node, [name], vmid)
    return left


def storage_of_disks(found: Storages, node: str, spec: Spec) -> str:
    """The storage that is asked for, else the only one that holds disks, else a usual one."""
    able = sorted(name for name, about in found.items() if "images" in about.get("content", "").split(","))
    usual = able if len(able) == 1 else [name for name in _USUAL if name in able]
    if chosen := [name for name in able if name == spec.disk_storage] if spec.disk_storage else usual:
        return chosen[0]
    wrong = f"is {spec.disk_storage}, which holds no disks" if spec.disk_storage else "is empty; say where"
    raise Fault(f"{PREFIX}disk_storage {wrong}: on {node} these do: {listed(able)}")


def machine(
    spec: Spec, found: Storages, storage: str, image: lock.Locked, volid: str, name: str
) -> dict[str, Any]:
    """The machine, with its disks and cloud-init, for one call: when it fails, Proxmox frees all of it."""
    kind = found[storage]["type"]
    system = disks.disk(kind, storage, image=volid, format=spec.image.format, iothread=True)
    config: dict[str, Any] = {
        "name": name,
        "description": owner.line(name, spec.image.url, finished=False),
        "tags": options.tags(spec),
        "ostype": "l26",
        "cores": spec.cores or CORES,
        "memory": spec.memory or MEMORY,
        "cpu": spec.cpu or "host",
        "scsihw": "virtio-scsi-single",
        "scsi0": system,
        "boot": "order=scsi0",
        "serial0": "socket",
        "vga": "serial0",
        "agent": f"enabled={int(image.agent if spec.agent is None else spec.agent)}",
        "net0": options.card(spec._replace(bridge=spec.bridge or BRIDGE), ""),
    }
    if image.firmware == "ovmf":
        config |= disks.uefi(kind, storage)
    if spec.sockets:
        config["sockets"] = spec.sockets
    for disk in spec.disks:
        if disk.slot != "scsi0":
            config[disk.slot] = new_disk(found, disk.storage or storage, disk.slot, disk.size, config)
    if spec.cloud_init:
        settings = spec.cloud_init._replace(user=spec.cloud_init.user or image.user)
        config |= {cloud_init.DRIVES[0]: f"{storage}:cloudinit"} | cloud_init.options(settings)
    return config


def new_disk(found: Storages, storage: str, slot: str, gib: int, config: Mapping[str, Any]) -> str:
    """The text of an empty disk, with what its slot and the machine's controller allow."""
    if storage not in found:
        raise Fault(
            f"{PREFIX}disks.{slot}.storage is {storage}, which is not there: there are {listed(sorted(found))}"
        )
    if "images" not in found[storage].get("content", "images").split(","):
        raise Fault(f"{PREFIX}disks.{slot}.storage is {storage}, which holds no disks: `pvesm set {storage} --content"
                    f" {found[storage]['content']},images` lets it")  # fmt: skip
    thread = slot.startswith("virtio") or (
        slot.startswith("scsi") and config.get("scsihw") == "virtio-scsi-single"
    )
    return disks.disk(
        found[storage]["type"], storage, gib, iothread=thread, ssd=not slot.startswith("virtio")
    )
