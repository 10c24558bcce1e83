"""Volumes that are added to and removed from a machine's configuration."""

import re

from lab.proxmox import access, allocation, config, properties, state, volumes
from lab.proxmox.guests import Guest


def allocate(guest: Guest, key: str, drive: dict, caller: access.Caller) -> dict:
    """Turn a requested drive into an existing volume: STORE:GiB, STORE:cloudinit, or a volume's name."""
    file = drive["file"]
    if file in ("none", "cdrom"):
        return drive | {"media": "cdrom"}
    storage, name = volumes.split(file)
    volumes.check_storage(storage)
    if re.fullmatch(r"\d+(\.\d+)?", name):
        access.check(caller, f"/storage/{storage}", "Datastore.AllocateSpace")
        volid = allocation.allocate(guest.node, storage, guest.vmid, int(float(name) * state.GIB))
    elif config.is_cloudinit(file):
        if name == "cloudinit":
            access.check(caller, f"/storage/{storage}", "Datastore.AllocateSpace")
        volid = allocation.allocate_cloudinit(guest.node, storage, guest.vmid)
        return {k: v for k, v in drive.items() if k != "format"} | {"file": volid, "media": "cdrom"}
    elif config.is_cdrom(drive):
        return drive
    else:
        owner = volumes.owner(file)
        if owner != guest.vmid:
            access.check(caller, f"/storage/{storage}", "Datastore.Allocate")
        volid = file
    size = properties.show_size(volumes.size(guest.node, volid))
    return {k: v for k, v in drive.items() if k != "format"} | {"file": volid, "size": size}


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
