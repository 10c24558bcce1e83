"""Machines below /nodes/NODE/qemu: list, create, migrate, destroy."""

from lab.proxmox import checks, guests, machines, state, tasks
from lab.proxmox import options as known
from lab.proxmox.errors import ApiError, invalid
from lab.proxmox.guests import Guest
from lab.proxmox.jobs import disks
from lab.proxmox.routes import VM, Request, route
from lab.proxmox.schema import Format, Prop
from lab.proxmox.summary import summary

# Restores from backups, and parameters that no client of the lab uses.
NOT_HERE = {
    "archive", "force", "ha-managed", "import-working-storage", "live-restore", "storage", "unique",
}  # fmt: skip
MIGRATE: Format = {
    "target": Prop(required=True),
    **dict.fromkeys(
        ("online", "force", "with-local-disks", "with-conntrack-state", "skiplock"), Prop("boolean")
    ),
    **dict.fromkeys(("migration_type", "migration_network", "targetstorage", "bwlimit"), Prop()),
}
DESTROY: Format = dict.fromkeys(("purge", "destroy-unreferenced-disks"), Prop("boolean"))


@route("GET", "/nodes/{node}/qemu")
def list_guests(request: Request):
    request.fits({"full": Prop("boolean")})
    found = guests.all_guests(request.node)
    return [summary(guest) for guest in found if request.may(f"/vms/{guest.vmid}", "VM.Audit")]


@route("POST", "/nodes/{node}/qemu")
def create(request: Request):
    request.required("vmid")
    try:
        guests.check_vmid(str(request.params["vmid"]))
    except ValueError as error:
        raise invalid(vmid=f"invalid format - {error}\n") from None
    vmid, start, pool = request.number("vmid"), request.flag("start"), request.params.get("pool")
    if refused := request.params.keys() & NOT_HERE:
        raise ApiError(f"the lab creates no machine with {', '.join(sorted(refused))}", 501)
    options = {k: v for k, v in request.params.items() if k not in ("vmid", "start", "pool", "bwlimit")}
    known.checked({k: v for k, v in options.items() if k != "cdrom"})
    request.check_made(vmid, pool)
    if start:
        request.check(f"/vms/{vmid}", "VM.PowerMgmt")
    guest = Guest(vmid, request.node)
    options = checks.check(guest, options, [], request.caller)
    with guests.lock(vmid):
        guests.race(vmid, request.node)
        try:
            guests.check_unused(vmid)
        except ApiError as error:
            raise ApiError(f"unable to create VM {vmid} - {error.message}") from None
        guest.config = {"lock": "create"}
        guest.save()
    return tasks.start(
        request.node, "qmcreate", vmid, request.caller.name, "create",
        node=request.node, vmid=vmid, options=options, pool=pool, start=start, user=request.caller.name,
    )  # fmt: skip


@route("GET", VM)
def index(request: Request):
    guests.load(request.node, request.vmid)
    return [
        {"subdir": name} for name in ("agent", "clone", "config", "migrate", "pending", "resize", "status")
    ]


@route("POST", f"{VM}/migrate")
def migrate(request: Request):
    request.check(f"/vms/{request.vmid}", "VM.Migrate")
    request.fits(MIGRATE)
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
    request.fits(DESTROY)
    purge = request.flag("purge")
    disks.check_destroy(request.node, request.vmid, purge)
    return tasks.start(
        request.node, "qmdestroy", request.vmid, request.caller.name, "destroy", node=request.node,
        vmid=request.vmid, purge=purge, unreferenced=request.flag("destroy-unreferenced-disks"),
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
