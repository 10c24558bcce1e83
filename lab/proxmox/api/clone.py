"""Clones, and machines that become templates."""

from lab.proxmox import (
    access,
    cloning,
    config,
    guests,
    options,
    permissions,
    properties,
    storages,
    tasks,
    volumes,
)
from lab.proxmox.guests import Guest
from lab.proxmox.jobs import templates
from lab.proxmox.routes import VM, Request, route
from lab.proxmox.schema import Format, Prop

CLONE: Format = {
    "newid": Prop(check=guests.check_vmid, required=True), "name": options.PLAIN["name"], "full": Prop("boolean"),
    "format": Prop(enum=("raw", "qcow2", "vmdk")), "bwlimit": Prop("integer", minimum=0),
    **dict.fromkeys(("description", "pool", "storage", "target", "snapname"), Prop()),
}  # fmt: skip
TEMPLATE: Format = {"disk": Prop(enum=config.SLOTS)}


@route("POST", f"{VM}/clone")
def clone(request: Request):
    request.check(f"/vms/{request.vmid}", "VM.Clone")
    request.fits(CLONE)
    params, newid, pool = request.params, request.number("newid"), request.params.get("pool")
    request.check_made(newid, pool)
    target = None if params.get("target") == request.node else params.get("target")
    wanted = cloning.Clone(
        request.node, request.vmid, newid, request.flag("full") if "full" in params else None,
        params.get("storage"), params.get("format"), target, pool, params.get("snapname"),
        options.checked({k: params[k] for k in ("name", "description") if params.get(k)}),
    )  # fmt: skip
    cloning.check_places(wanted)
    source = cloning.source(wanted)
    _check_rights(source, wanted, request.caller)
    cloning.check(source, wanted)
    guests.race(newid, request.node)
    cloning.check_unused(wanted)
    return tasks.start(
        request.node, "qmclone", request.vmid, request.caller.name, "clone", **wanted._asdict()
    )


def _check_rights(source: Guest, wanted: cloning.Clone, caller: access.Caller) -> None:
    """The rights to what the machine uses: storages, mapped devices, bridges."""
    for drive in config.drives(source.config).values():
        if drive["file"] == "cdrom":
            access.check(caller, "/", "Sys.Console")
        elif ":" in drive["file"] and not config.is_cdrom(drive):
            storage = wanted.storage or volumes.storage_of(drive["file"])
            storages.check(storage)
            access.check(caller, f"/storage/{storage}", "Datastore.AllocateSpace")
    for key, value in source.config.items():
        permissions.check_mapping(caller, key, str(value))
        if properties.NET.fullmatch(key):
            permissions.check_bridge(caller, properties.parse_net(key, value))


@route("POST", f"{VM}/template")
def template(request: Request):
    request.check(f"/vms/{request.vmid}", "VM.Allocate")
    request.fits(TEMPLATE)
    disk = request.params.get("disk")
    templates.check(request.node, request.vmid, disk)
    return tasks.start(
        request.node, "qmtemplate", request.vmid, request.caller.name, "template",
        node=request.node, vmid=request.vmid, disk=disk,
    )  # fmt: skip
