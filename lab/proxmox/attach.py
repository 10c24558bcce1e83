"""Volumes that are added to and removed from a machine's configuration."""

import re

from lab.proxmox import access, allocation, config, permissions, properties, state, volumes
from lab.proxmox.errors import ApiError, invalid_keys
from lab.proxmox.guests import Guest

NEW_DISK = re.compile(r"(?:([^/:\s]+):)?(\d+(?:\.\d+)?)")
TPM_STATE = 4 << 20


def check_medium(key: str, drive: dict) -> None:
    """Refusals that need no machine: parameters that contradict each other, and ISO images as disks."""
    file = drive["file"]
    if "import-from" in drive:
        raise ApiError("import-from is not implemented here", 501)
    if file in ("none", "cdrom"):
        drive.setdefault("media", "cdrom")
        return
    named = ":" in file and not NEW_DISK.fullmatch(file) and not config.is_cloudinit(file)
    if named and volumes.content(file) == "iso" and not config.is_cdrom(drive):
        raise invalid_keys({key: "explicit 'media=cdrom' is required for iso images"})


def check_access(guest: Guest, key: str, drive: dict, caller: access.Caller) -> None:
    """Whether the caller may use what a drive is made from, or take from a storage."""
    file, new = drive["file"], NEW_DISK.fullmatch(drive["file"])
    if file == "none" or config.is_cloudinit(file):
        return
    if file == "cdrom":
        access.check(caller, "/", "Sys.Console")
    elif new and not config.is_cdrom(drive):
        if not new[1]:
            raise ApiError("no storage ID specified (and no default storage)")
        access.check(caller, f"/storage/{new[1]}", "Datastore.AllocateSpace")
        if "images" not in volumes.check_storage(new[1])["content"].split(","):
            raise invalid_keys({"storage": f"storage '{new[1]}' does not support vm images"})
    elif ":" not in file:
        if not permissions.root(caller):
            raise ApiError("Only root can pass arbitrary filesystem paths.")
    else:
        _check_volume(guest, key, file, caller)


def _check_volume(guest: Guest, key: str, volid: str, caller: access.Caller) -> None:
    kind, owner, path = volumes.content(volid), volumes.owner(volid), f"/storage/{volumes.storage_of(volid)}"
    if not access.may(caller, path, "Datastore.Allocate"):
        if kind in ("iso", "import", "vztmpl"):
            access.check(caller, path, "Datastore.AllocateSpace", "Datastore.Audit")
        elif kind != "images":
            raise ApiError(f"missing privileges to access {volid}")
        elif owner != guest.vmid:
            access.check(caller, path, "Datastore.Audit")
            access.check(caller, f"/vms/{owner}", "VM.Config.Disk")
    if kind not in ("images", "iso"):
        raise invalid_keys({key: "content type needs to be 'images' or 'iso'"})


def allocate(guest: Guest, key: str, drive: dict) -> dict:
    """Turn a requested drive into an existing volume: STORE:GiB, STORE:cloudinit, or a volume's name."""
    file = drive["file"]
    if file in ("none", "cdrom"):
        return {k: v for k, v in drive.items() if k != "size"}
    if config.is_cloudinit(file):
        return _cloudinit(guest, key, drive)
    kept = {k: v for k, v in drive.items() if k != "format"}
    if new := NEW_DISK.fullmatch(file):
        length, kind = int(float(new[2]) * state.GIB), drive.get("format")
        if key == "efidisk0":
            length = efi_size(new[1], drive.get("efitype", "2m"))
            if kept.get("pre-enrolled-keys") == "1":
                kept["ms-cert"] = "2023k"  # the certificates that Proxmox puts there
        elif key == "tpmstate0":
            length = TPM_STATE
        file = allocation.allocate(guest.node, new[1], guest.vmid, length, kind)
    elif (wanted := drive.get("format")) and wanted != volumes.kind(file):
        raise ApiError(
            f"drive '{key}' - volume '{file}' - 'format={wanted}' option different from storage format "
            f"'{volumes.kind(file)}'"
        )
    return kept | {"file": file, "size": properties.show_size(volumes.size(guest.node, file))}


def _cloudinit(guest: Guest, key: str, drive: dict) -> dict:
    for other, found in config.drives(guest.effective()).items():
        if other != key and config.is_cloudinit(found["file"]):
            raise ApiError(f"{key} - cloud-init drive is already attached at '{other}'")
    storage = volumes.storage_of(drive["file"])
    volumes.check_storage(storage)
    volid = allocation.allocate_cloudinit(guest.node, storage, guest.vmid)
    return {k: v for k, v in drive.items() if k != "format"} | {"file": volid, "media": "cdrom"}


def efi_size(storage: str, kind: str) -> int:
    """Bytes for UEFI variables: those of the firmware's file, on a thin pool whole extents."""
    if volumes.check_storage(storage)["type"] == "lvmthin":
        return 4 << 20
    return 528 << 10 if kind == "4m" else 128 << 10


def add_unused(guest: Guest, volid: str) -> None:
    if volid in guest.config.values():
        return
    taken = {k for k in guest.config if properties.UNUSED.fullmatch(k)}
    guest.config[next(f"unused{n}" for n in range(256) if f"unused{n}" not in taken)] = volid


def dropped(guest: Guest, drive: dict, keep: set[str]) -> None:
    """A drive was removed: its volume becomes unusedN, a cloud-init volume is deleted."""
    file = drive["file"]
    if file in keep or ":" not in file:
        return
    if config.is_cloudinit(file):
        allocation.free(guest.node, file)
    elif not config.is_cdrom(drive) and volumes.owner(file) == guest.vmid:
        add_unused(guest, file)


def in_use(guest: Guest) -> set[str]:
    now, then = guest.config, guest.effective()
    return {drive["file"] for options in (now, then) for drive in config.drives(options).values()}
