"""`STORAGE:0,import-from=SOURCE`: a new volume is made from an image of a storage, for root from any file.

The order of the checks and their words are those of check_drive_param, check_storage_access, create_disks and
clone_disk in qemu-server 9.2.
"""

import re
from pathlib import Path

from lab.proxmox import (
    access,
    allocation,
    config,
    guests,
    permissions,
    properties,
    qemu_img,
    storages,
    volumes,
)
from lab.proxmox.errors import ApiError, invalid_keys
from lab.proxmox.guests import Guest

NEW_DISK = re.compile(r"(?:([^/:\s]+):)?(\d+(?:\.\d+)?)")


def check_syntax(key: str, drive: dict) -> None:
    if "import-from" not in drive:
        return
    new = NEW_DISK.fullmatch(drive["file"])
    if not new or float(new[2]):
        text = "'import-from' requires special syntax - use <storage ID>:0,import-from=<source>"
        raise invalid_keys({key: text})
    needed = {"efidisk0": ("efitype", "pre-enrolled-keys"), "tpmstate0": ("version",)}
    for name in needed.get(key, ()):
        if name not in drive:
            raise invalid_keys({key: f"need to specify '{name}' when using 'import-from'"})


def check_access(guest: Guest, key: str, source: str, caller: access.Caller) -> None:
    if ":" in source:
        known = volumes.parse(source)
        if known.content not in ("images", "import"):
            text = f"{source} has wrong type '{known.content}' - needs to be 'images' or 'import'"
            raise invalid_keys({key: text})
        if source.endswith(".ova") or ".ova/" in source:
            raise ApiError("the lab does not extract OVA archives", 501)
        if known.owner:
            access.check(caller, f"/vms/{known.owner}", "VM.Clone")
            return
    check_read(guest, source, caller)


def check_read(guest: Guest | None, volid: str, caller: access.Caller) -> None:
    """Whether the caller may read a volume: check_volume_access of pve-storage."""
    if ":" not in volid:
        if not permissions.root(caller):
            raise ApiError("Only root can pass arbitrary filesystem paths.")
        return
    known, path = volumes.parse(volid), f"/storage/{volumes.storage_of(volid)}"
    if access.may(caller, path, "Datastore.Allocate"):
        return
    if known.content in ("iso", "import", "vztmpl"):
        access.check(caller, path, "Datastore.AllocateSpace", "Datastore.Audit")
    elif known.content != "images":
        raise ApiError(f"missing privileges to access {volid}")
    elif guest is None or known.owner != guest.vmid:
        access.check(caller, path, "Datastore.Audit")
        access.check(caller, f"/vms/{known.owner}", "VM.Config.Disk")


def volume(guest: Guest, key: str, source: str, storage: str, kind: str, length: int) -> str:
    """A new volume on `storage` with what is in the source; `length` is that of UEFI variables."""
    if ":" not in source:
        return _from_file(guest, Path(source), storage, kind)
    known, file = volumes.parse(source), volumes.path(guest.node, source)
    if known.content == "import":
        qemu_img.info(file, volumes.kind(source), trusted=False)
    try:
        return _from_volume(guest, key, source, storage, kind, length)
    except ApiError as error:
        raise ApiError(f"cannot import from '{source}' - {error.message}") from error


def _from_volume(guest: Guest, key: str, source: str, storage: str, kind: str, length: int) -> str:
    known = volumes.parse(source)
    if not volumes.exists(guest.node, source) or not (size := volumes.size(guest.node, source)):
        raise ApiError(f"could not get size of {source}")
    if config.is_cloudinit(source):
        raise ApiError("cannot import from cloudinit disk")
    slot = _slot(guest, known.owner, source)
    for name, words in (
        ("efidisk0", "EFI disk requires EFI disk"),
        ("tpmstate0", "TPM state requires TPM state"),
    ):
        if slot and slot != key and name in (slot, key):
            raise ApiError(f"cloning from/to {words}")
    print(f"create full clone of drive {f'{slot} ' if slot else ''}({source})", flush=True)
    if known.content == "images":
        length = length if key == "efidisk0" else 0
        return allocation.copy(guest.node, source, guest.node, storage, guest.vmid, kind, length)
    return _converted(guest, volumes.path(guest.node, source), volumes.kind(source), size, storage, kind)


def _slot(guest: Guest, owner: int | None, source: str) -> str:
    """The drive as which another machine has the source."""
    found = guests.find(owner) if owner else None
    if not found:
        return ""
    if found.node != guest.node:
        raise ApiError(f"owner VM {owner} not on local node")
    values = {key: properties.parse(value, "file").get("file") for key, value in found.config.items()}
    return next((key for key in sorted(values) if values[key] == source), "")


def _from_file(guest: Guest, source: Path, storage: str, kind: str) -> str:
    if not source.is_file():
        raise ApiError(f"can't find file '{source}'")
    about = qemu_img.info(source, None, trusted=False)
    return _converted(guest, source, about.format, about.size, storage, kind)


def _converted(guest: Guest, source: Path, form: str, size: int, storage: str, kind: str) -> str:
    fitting = storages.fitting(storage, kind or form)
    volid = allocation.allocate(guest.node, storage, guest.vmid, size, fitting)
    print(f"allocated target volume '{volid}'", flush=True)
    allocation.convert(source, form, guest.node, volid, size)
    return volid
