"""Machines below /nodes/NODE/qemu: list, create, migrate, destroy."""

from lab.proxmox import config, guests, ha, machines, pools, state, tasks, update
from lab.proxmox.errors import ApiError, invalid
from lab.proxmox.guests import Guest
from lab.proxmox.routes import VM, Request, route
from lab.proxmox.summary import summary


@route("GET", "/nodes/{node}/qemu")
def list_guests(request: Request):
    found = guests.all_guests(request.node)
    return [summary(guest) for guest in found if request.may(f"/vms/{guest.vmid}", "VM.Audit")]


@route("POST", "/nodes/{node}/qemu")
def create(request: Request):
    vmid = int(request.params.pop("vmid", 0) or guests.next_free())
    request.check(f"/vms/{vmid}", "VM.Allocate")
    pool, start = request.params.pop("pool", None), request.flag("start")
    request.params.pop("start", None)
    with guests.lock(vmid):
        try:
            guests.check_unused(vmid)
        except ApiError as error:
            raise ApiError(f"unable to create VM {vmid} - {error.message}") from None
        guest = Guest(vmid, request.node)
        config.identity(guest.config)
        update.update(guest, request.params, [], False, request.caller)
        guest.save()
    if pool:
        pools.change(pool, [vmid])
    if start:
        return tasks.start(
            request.node, "qmstart", vmid, request.caller.name, "start", node=request.node, vmid=vmid
        )
    return tasks.start(request.node, "qmcreate", vmid, request.caller.name, "nothing")


@route("GET", VM)
def index(request: Request):
    guests.load(request.node, request.vmid)
    return [
        {"subdir": name} for name in ("agent", "clone", "config", "migrate", "pending", "resize", "status")
    ]


@route("POST", f"{VM}/migrate")
def migrate(request: Request):
    request.check(f"/vms/{request.vmid}", "VM.Migrate")
    target = request.required("target")
    if target == request.node:
        raise invalid(target="target is local node.")
    if target not in state.NODES:
        raise invalid(target=f"no such cluster node '{target}'")
    guest = guests.load(request.node, request.vmid)
    guest.check_lock()
    if machines.running(request.vmid) and not request.flag("online"):
        raise ApiError("can't migrate running VM without --online")
    return tasks.start(
        request.node, "qmigrate", request.vmid, request.caller.name, "migrate",
        node=request.node, vmid=request.vmid, target=target,
    )  # fmt: skip


@route("DELETE", VM)
def destroy(request: Request):
    request.check(f"/vms/{request.vmid}", "VM.Allocate")
    guest = guests.load(request.node, request.vmid)
    if guest.config.get("protection"):
        raise ApiError(f"can't remove VM {request.vmid} - protection mode enabled")
    if machines.running(request.vmid):
        raise ApiError(f"VM {request.vmid} is running - destroy failed")
    guest.check_lock()
    if ha.manages(request.vmid):
        if not request.flag("purge"):
            raise ApiError(
                f"unable to remove VM {request.vmid} - used in HA resources and purge parameter not set."
            )
        ha.remove(str(request.vmid))
    return tasks.start(
        request.node, "qmdestroy", request.vmid, request.caller.name, "destroy",
        node=request.node, vmid=request.vmid, unreferenced=request.flag("destroy-unreferenced-disks"),
    )  # fmt: skip


@route("GET", f"{VM}/snapshot")
def snapshots(request: Request):
    guest = request.audited()
    process = machines.running(guest.vmid)
    return [{"name": "current", "description": "You are here!", "running": int(bool(process))}]


@route("GET", f"{VM}/firewall/{{part}}")
def firewall(request: Request):
    request.audited()
    return {} if request.names["part"] == "options" else []
