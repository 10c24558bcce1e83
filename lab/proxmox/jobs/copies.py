"""Clones and templates."""

import re

from lab.proxmox import allocation, attach, config, guests, pools, properties, volumes
from lab.proxmox.errors import ApiError


def clone(node: str, vmid: int, newid: int, full: bool, storage: str | None, kind: str = "") -> None:
    """Fill the locked configuration of `newid` from `vmid`: new volumes and MAC addresses, no template."""
    source, made = guests.load(node, vmid), guests.load(node, newid)
    result = {}
    try:
        for key, value in source.config.items():
            if properties.UNUSED.fullmatch(key) or key in ("template", "lock", "digest"):
                continue
            if properties.NET.fullmatch(key):
                net = properties.parse_net(key, value)
                net["macaddr"] = properties.new_mac()
                value = properties.show_net(net)
            elif properties.DRIVE.fullmatch(key):
                value = _clone_drive(source, key, value, newid, full, storage, kind)
            result[key] = value
        config.identity(result)
        result |= {k: v for k, v in made.config.items() if k != "lock"}
    except ApiError as error:
        clone_abort(node=node, newid=newid)
        raise ApiError(f"clone failed: {error.message}") from error
    with guests.lock(newid):
        guests.Guest(newid, node, result).save()


def _clone_drive(
    source: guests.Guest, key: str, text: str, newid: int, full: bool, storage: str | None, kind: str
) -> str:
    drive = properties.parse_drive(key, text)
    file = drive["file"]
    target = storage or (volumes.storage_of(file) if ":" in file else "")
    if config.is_cloudinit(file):
        return properties.show(
            drive | {"file": allocation.allocate_cloudinit(source.node, target, newid)}, "file"
        )
    if config.is_cdrom(drive):
        return text
    full = full or key == "tpmstate0"
    print(f"create {'full' if full else 'linked'} clone of drive {key} ({file})", flush=True)
    if full:
        length = attach.efi_size(drive.get("efitype", "2m")) if key == "efidisk0" else 0
        drive["file"] = allocation.copy(source.node, file, source.node, target, newid, kind, length)
    else:
        drive["file"] = allocation.link(source.node, file, newid)
    drive["size"] = properties.show_size(volumes.size(source.node, drive["file"]))
    return properties.show(drive, "file")


def clone_abort(node: str, newid: int, **_) -> None:
    """As PVE after a failed clone: neither configuration nor volumes are left."""
    for volid in volumes.of_guest(node, newid):
        allocation.free(node, volid)
    guests.Guest(newid, node).remove()
    pools.forget(newid)


def template(node: str, vmid: int) -> None:
    """Convert a stopped machine: its volumes become base volumes."""
    with guests.lock(vmid):
        guest = guests.load(node, vmid)
        guest.check_lock()
        renamed = {}
        for drive in config.disks(guest.config).values():
            base = re.sub(r"vm-(\d+-disk-)", r"base-\1", drive["file"])
            volumes.path(node, drive["file"]).rename(volumes.path(node, base))
            renamed[drive["file"]] = base
        guest.config = guests.renamed(guest.config, renamed) | {"template": 1}
        guest.save()
