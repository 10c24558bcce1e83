"""A machine's disks: growing one, moving one to another storage."""

from lab.proxmox import config, guests, permissions, tasks, volumes
from lab.proxmox.errors import ApiError, invalid
from lab.proxmox.routes import VM, Request, route
from lab.proxmox.schema import Format, Prop

RESIZE: Format = {
    "disk": Prop(enum=config.SLOTS, required=True),
    "size": Prop(pattern=r"\+?\d+(\.\d+)?[KMGT]?", required=True),
    "digest": Prop(),
    "skiplock": Prop("boolean"),
}


@route("PUT", f"{VM}/resize")
def resize(request: Request):
    request.check(f"/vms/{request.vmid}", "VM.Config.Disk")
    request.fits(RESIZE)
    skiplock = request.flag("skiplock")
    if skiplock and not permissions.root(request.caller):
        raise invalid(skiplock="Only root may use this option.")
    return tasks.start(
        request.node, "resize", request.vmid, request.caller.name, "resize",
        node=request.node, vmid=request.vmid, disk=request.params["disk"], size=str(request.params["size"]),
        digest=request.params.get("digest"), skiplock=skiplock, user=request.caller.name,
    )  # fmt: skip


MOVE: Format = {
    "disk": Prop(enum=config.SLOTS, required=True),
    "delete": Prop("boolean"),
    **dict.fromkeys(("storage", "format", "digest", "bwlimit"), Prop()),
}


@route("POST", f"{VM}/move_disk")
def move_disk(request: Request):
    request.check(f"/vms/{request.vmid}", "VM.Config.Disk")
    request.fits(MOVE)
    disk, storage = request.params["disk"], request.required("storage")
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
