"""A machine's disks: growing one, moving one to another storage."""

import re

from lab.proxmox import config, guests, properties, tasks, volumes
from lab.proxmox.errors import ApiError, invalid_keys
from lab.proxmox.routes import VM, Request, route


@route("PUT", f"{VM}/resize")
def resize(request: Request):
    request.check(f"/vms/{request.vmid}", "VM.Config.Disk")
    disk, size = request.required("disk"), request.required("size")
    errors = {}
    if not properties.DRIVE.fullmatch(disk):
        errors["disk"] = f"value '{disk}' does not have a value in the enumeration"
    if not re.fullmatch(r"\+?\d+(\.\d+)?[KMGT]?", size):
        errors["size"] = "value does not match the regex pattern"
    if errors:
        raise invalid_keys(errors)
    guests.load(request.node, request.vmid).check_lock()
    return tasks.start(
        request.node, "resize", request.vmid, request.caller.name, "resize",
        node=request.node, vmid=request.vmid, disk=disk, size=size,
    )  # fmt: skip


@route("POST", f"{VM}/move_disk")
def move_disk(request: Request):
    request.check(f"/vms/{request.vmid}", "VM.Config.Disk")
    disk, storage = request.required("disk"), request.required("storage")
    volumes.check_storage(storage)
    request.check(f"/storage/{storage}", "Datastore.AllocateSpace")
    guest = guests.load(request.node, request.vmid)
    guest.check_lock()
    drive = config.drives(guest.config).get(disk)
    if drive is None:
        raise ApiError(f"disk '{disk}' does not exist")
    if volumes.storage_of(drive["file"]) == storage:
        raise ApiError("you can't move to the same storage with same format")
    return tasks.start(
        request.node, "qmmove", request.vmid, request.caller.name, "move_disk",
        node=request.node, vmid=request.vmid, disk=disk, storage=storage, delete=request.flag("delete"),
    )  # fmt: skip
