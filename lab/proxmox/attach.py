"""Volumes that are added to and removed from a machine's configuration."""

from lab.proxmox import access, allocation, config, imports, properties, state, storages, volumes
from lab.proxmox.errors import ApiError, invalid_keys
from lab.proxmox.guests import Guest

NEW_DISK = imports.NEW_DISK
TPM_STATE = 4 << 20


def check_medium(key: str, drive: dict) -> None:
    """Refusals that need no machine: parameters that contradict each other, and ISO images as disks."""
    file = drive["file"]
    imports.check_syntax(key, drive)
    if file in ("none", "cdrom"):
        drive.setdefault("media", "cdrom")
        return
    named = ":" in file and not NEW_DISK.fullmatch(file) and not config.is_cloudinit(file)
    if named and volumes.content(file) == "iso" and not config.is_cdrom(drive):
        raise invalid_keys({key: "explicit 'media=cdrom' is required for iso images"})


def check_access(guest: Guest, key: str, drive: dict, caller: access.Caller) -> None:
    """Whether the caller may use what a drive is made from, or take from a storage."""
    _check_file(guest, key, drive, caller)
    if source := drive.get("import-from"):
        imports.check_access(guest, key, source, caller)


def _check_file(guest: Guest, key: str, drive: dict, caller: access.Caller) -> None:
    file, new = drive["file"], NEW_DISK.fullmatch(drive["file"])
    if file == "none" or config.is_cloudinit(file):
        return
    if file == "cdrom":
        access.check(caller, "/", "Sys.Console")
    elif new and not config.is_cdrom(drive):
        if not new[1]:
            raise ApiError("no storage ID specified (and no default storage)")
        access.check(caller, f"/storage/{new[1]}", "Datastore.AllocateSpace")
        if not storages.holds(new[1], "images"):
            raise invalid_keys({"storage": f"storage '{new[1]}' does not support vm images"})
    else:
        imports.check_read(guest, file, caller)
        if ":" in file and volumes.content(file) not in ("images", "iso"):
            raise invalid_keys({key: "content type needs to be 'images' or 'iso'"})


def allocate(guest: Guest, key: str, drive: dict, made: list[str]) -> dict:
    """Turn a requested drive into a volume: STORE:GiB, STORE:cloudinit, or one that exists; new ones join `made`."""
    file = drive["file"]
    if file in ("none", "cdrom"):
        return {k: v for k, v in drive.items() if k != "size"}
    if config.is_cloudinit(file):
        result = _cloudinit(guest, key, drive)
        made.append(result["file"])
        return result
    kept = {k: v for k, v in drive.items() if k not in ("format", "import-from")}
    if new := NEW_DISK.fullmatch(file):
        file = _new(guest, key, drive, new[1], int(float(new[2]) * state.GIB))
        made.append(file)
        if key == "efidisk0" and kept.get("pre-enrolled-keys") == "1" and "import-from" not in drive:
            kept["ms-cert"] = "2023k"  # the certificates that Proxmox puts there
        if guest.template:
            made[-1] = file = allocation.to_base(guest.node, file)
    elif (wanted := drive.get("format")) and wanted != volumes.kind(file):
        raise ApiError(
            f"drive '{key}' - volume '{file}' - 'format={wanted}' option different from storage format "
            f"'{volumes.kind(file)}'"
        )
    result = kept | {"file": file, "size": properties.show_size(volumes.size(guest.node, file))}
    if new:
        print(f"{key}: successfully created disk '{properties.show(result, 'file')}'", flush=True)
    return result


def _new(guest: Guest, key: str, drive: dict, storage: str, length: int) -> str:
    """A new volume: empty, or made from an image."""
    kind = drive.get("format")
    if key == "efidisk0":
        length = efi_size(drive.get("efitype", "2m"))
    elif key == "tpmstate0":
        length = TPM_STATE
    if source := drive.get("import-from"):
        return imports.volume(guest, key, source, storage, kind or "", length)
    return allocation.allocate(guest.node, storage, guest.vmid, length, kind)


def _cloudinit(guest: Guest, key: str, drive: dict) -> dict:
    for other, found in config.drives(guest.effective()).items():
        if other != key and config.is_cloudinit(found["file"]):
            raise ApiError(f"{key} - cloud-init drive is already attached at '{other}'")
    storage = volumes.storage_of(drive["file"])
    volumes.check_storage(storage)
    volid = allocation.allocate_cloudinit(guest.node, storage, guest.vmid)
    return {k: v for k, v in drive.items() if k != "format"} | {"file": volid, "media": "cdrom"}


def efi_size(kind: str) -> int:
    """Bytes for UEFI variables: those of the firmware's file."""
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
