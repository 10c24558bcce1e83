"""Clones, and machines that become templates."""

from lab.proxmox import config, guests, machines, options, permissions, pools, state, tasks, volumes
from lab.proxmox.errors import ApiError, invalid, invalid_keys
from lab.proxmox.guests import Guest
from lab.proxmox.routes import VM, Request, route
from lab.proxmox.schema import UNKNOWN

CLONE_OPTIONS = {
    "newid", "name", "full", "description", "pool", "storage", "target", "format", "snapname", "bwlimit",
}  # fmt: skip


@route("POST", f"{VM}/clone")
def clone(request: Request):
    params, source_path = request.params, f"/vms/{request.vmid}"
    newid = int(params.get("newid", 0)) if str(params.get("newid", "")).isdigit() else 0
    errors = dict.fromkeys(params.keys() - CLONE_OPTIONS, UNKNOWN)
    if "newid" in params and not 100 <= newid < 1_000_000_000:
        errors["newid"] = "invalid format - value does not look like a valid VM ID"
    if errors:
        raise invalid_keys(errors)
    request.required("newid")
    request.check(source_path, "VM.Clone")
    pool = params.get("pool")
    if not request.may(f"/vms/{newid}", "VM.Allocate"):
        request.check(f"/pool/{pool}" if pool else f"/vms/{newid}", "VM.Allocate")
    source = guests.load(request.node, request.vmid)
    for key, value in source.config.items():
        permissions.check_mapping(request.caller, key, str(value))
    full, storage = request.flag("full", not source.template), params.get("storage")
    for disk in config.disks(source.config).values():
        target = storage or volumes.storage_of(disk["file"])
        volumes.check_storage(target)
        request.check(f"/storage/{target}", "Datastore.AllocateSpace")
    if storage and not full:
        raise invalid(storage="parameter 'storage' not allowed for linked clones")
    if (where := params.get("target")) and where != request.node:
        if where not in state.NODES:
            raise invalid(target=f"no such cluster node '{where}'")
        raise ApiError(f"can't clone VM to node '{where}' (VM uses local storage)")
    if pool and pool not in pools.read():
        raise ApiError(f"pool '{pool}' does not exist")
    source.check_lock()
    if full and "tpmstate0" in source.config and machines.running(request.vmid):
        raise ApiError("cannot clone TPM state while VM is running")
    kept = options.checked({k: params[k] for k in ("name", "description") if k in params})
    kept.setdefault("name", f"Copy-of-VM-{source.name}")
    with guests.lock(newid):
        guests.check_unused(newid)
        Guest(newid, request.node, {"lock": "clone", **kept}).save()
    if pool:
        pools.change(pool, [newid])
    return tasks.start(
        request.node, "qmclone", request.vmid, request.caller.name, "clone",
        node=request.node, vmid=request.vmid, newid=newid, full=full, storage=storage,
        kind=params.get("format", ""),
    )  # fmt: skip


@route("POST", f"{VM}/template")
def template(request: Request):
    request.check(f"/vms/{request.vmid}", "VM.Allocate")
    guest = guests.load(request.node, request.vmid)
    guest.check_lock()
    if guest.template:
        raise ApiError("you can't convert a template to a template")
    if machines.running(request.vmid):
        raise ApiError("you can't convert a VM to template if VM is running")
    return tasks.start(
        request.node,
        "qmtemplate",
        request.vmid,
        request.caller.name,
        "template",
        node=request.node,
        vmid=request.vmid,
    )
