"""Requests below /nodes/{node}/qemu."""

import re
import time

from lab.proxmox import access, config, guests, machines, pools, properties, state, tasks, volumes
from lab.proxmox.errors import ApiError, invalid, invalid_keys
from lab.proxmox.guests import Guest
from lab.proxmox.server import Request, route

CLONE_OPTIONS = {
    "newid", "name", "full", "description", "pool", "storage", "target", "format", "snapname", "bwlimit",
}  # fmt: skip
VM = "/nodes/{node}/qemu/{vmid}"


def summary(guest: Guest, caller: access.Caller | None = None) -> dict:
    """What lists and status/current say of a machine."""
    current = guest.config
    process = None if guest.template or current.get("lock") == "clone" else machines.running(guest.vmid)
    disks = config.disks(current)
    result = {
        "vmid": guest.vmid,
        "name": guest.name,
        "status": "running" if process else "stopped",
        "cpus": current.get("cores", 1) * current.get("sockets", 1),
        "cpu": 0,
        "mem": 0,
        "maxmem": int(str(current.get("memory", 512)).removeprefix("current=")) << 20,
        "disk": 0,
        "maxdisk": max((properties.to_bytes(d.get("size", "0")) for d in disks.values()), default=0),
        "diskread": 0, "diskwrite": 0, "netin": 0, "netout": 0,
        "uptime": int(time.time() - process["since"]) if process else 0,
    }  # fmt: skip
    if process:
        result["pid"] = process["pid"]
    if guest.template:
        result["template"] = 1
    for key in ("tags", "lock"):
        if current.get(key):
            result[key] = current[key]
    return result


def audited(request: Request) -> Guest:
    request.check(f"/vms/{request.vmid}", "VM.Audit")
    return guests.load(request.node, request.vmid)


@route("GET", "/nodes/{node}/qemu")
def list_guests(request: Request):
    found = guests.all_guests(request.node)
    return [summary(guest) for guest in found if request.may(f"/vms/{guest.vmid}", "VM.Audit")]


@route("POST", "/nodes/{node}/qemu")
def create(request: Request):
    vmid = int(request.params.pop("vmid", 0) or next_free())
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
        config.update(guest, request.params, [], False, request.caller)
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


@route("GET", f"{VM}/config")
def get_config(request: Request):
    guest = audited(request)
    shown = guest.config if request.flag("current") else guest.effective()
    return shown | {"digest": guest.digest()}


@route("GET", f"{VM}/pending")
def get_pending(request: Request):
    guest = audited(request)
    result = []
    for key in sorted(guest.config.keys() | guest.pending.keys()):
        item = {"key": key}
        if key in guest.config:
            item["value"] = guest.config[key]
        if key in guest.pending:
            item["pending"] = guest.pending[key]
        if key in guest.pending_delete:
            item["delete"] = 1
        result.append(item)
    return result


def _update(request: Request) -> None:
    params = dict(request.params)
    delete = [key for key in re.split(r"[,; ]+", str(params.pop("delete", ""))) if key]
    revert = [key for key in re.split(r"[,; ]+", str(params.pop("revert", ""))) if key]
    digest, skiplock = params.pop("digest", None), params.pop("skiplock", None)
    for name in ("force", "background_delay"):
        params.pop(name, None)
    if skiplock and request.caller.name != access.ROOT_USER:
        raise invalid(skiplock="Only root may use this option.")
    if not params and not delete and not revert:
        raise ApiError("no options specified")
    with guests.lock(request.vmid):
        guest = guests.load(request.node, request.vmid)
        if digest and digest != guest.digest():
            raise ApiError("detected modified configuration - file changed by other user? Try again.")
        if not skiplock:
            guest.check_lock()
        for key in revert:
            guest.pending.pop(key, None)
            guest.pending_delete = [k for k in guest.pending_delete if k != key]
        config.update(guest, params, delete, bool(machines.running(request.vmid)), request.caller)
        guest.save()
        machines.sync(request.vmid)


@route("PUT", f"{VM}/config")
def put_config(request: Request):
    _update(request)


@route("POST", f"{VM}/config")
def post_config(request: Request):
    _update(request)
    return tasks.start(request.node, "qmconfig", request.vmid, request.caller.name, "nothing")


@route("GET", f"{VM}/cloudinit")
def cloudinit_pending(request: Request):
    guest = audited(request)
    keys = [k for k in guest.config if re.fullmatch(r"ci\w+|ipconfig\d+|nameserver|searchdomain|sshkeys", k)]
    return [{"key": key, "value": guest.config[key]} for key in sorted(keys)]


@route("PUT", f"{VM}/cloudinit")
def cloudinit_regenerate(request: Request):
    """The drive is made anew at each start anyway."""
    request.check(f"/vms/{request.vmid}", "VM.Config.Cloudinit")
    guests.load(request.node, request.vmid).check_lock()


@route("GET", f"{VM}/cloudinit/dump")
def cloudinit_dump(request: Request):
    from lab.proxmox import cloudinit

    guest = audited(request)
    kind = {"user": "user-data", "network": "network-config", "meta": "meta-data"}[request.required("type")]
    return cloudinit.seed(guest.config, guest.vmid)[kind]


@route("GET", f"{VM}/status")
def status_index(request: Request):
    return [{"subdir": name} for name in ("current", "start", "stop", "reset", "shutdown", "reboot")]


@route("GET", f"{VM}/status/current")
def status_current(request: Request):
    guest = audited(request)
    result = summary(guest)
    result["qmpstatus"] = result["status"]
    result["ha"] = {"managed": 0}
    agent = properties.parse(guest.config.get("agent", "0"), "enabled")
    if properties.boolean(agent.get("enabled", "0")):
        result["agent"] = 1
    return result


def _power(request: Request, kind: str, job: str, **arguments) -> str:
    request.check(f"/vms/{request.vmid}", "VM.PowerMgmt")
    guest = guests.load(request.node, request.vmid)
    if guest.template:
        raise ApiError(
            "you can't start a vm if it's a template"
            if kind == "qmstart"
            else f"VM {request.vmid} is a template"
        )
    guest.check_lock()
    return tasks.start(
        request.node, kind, request.vmid, request.caller.name, job, vmid=request.vmid, **arguments
    )


@route("POST", f"{VM}/status/start")
def start(request: Request):
    return _power(request, "qmstart", "start", node=request.node, timeout=request.number("timeout"))


@route("POST", f"{VM}/status/stop")
def stop(request: Request):
    return _power(request, "qmstop", "stop")


@route("POST", f"{VM}/status/shutdown")
def shutdown(request: Request):
    timeout = request.number("timeout", 180)
    return _power(request, "qmshutdown", "shutdown", timeout=timeout, force=request.flag("forceStop"))


@route("POST", f"{VM}/status/reboot")
def reboot(request: Request):
    guests.load(request.node, request.vmid)
    if not machines.running(request.vmid):
        raise ApiError(f"VM {request.vmid} not running")
    return _power(request, "qmreboot", "reboot", node=request.node, timeout=request.number("timeout", 180))


@route("POST", f"{VM}/status/reset")
def reset(request: Request):
    return _power(request, "qmreset", "reset", node=request.node)


def next_free() -> int:
    taken = {guest.vmid for guest in guests.all_guests()}
    return next(number for number in range(100, 1_000_000_000) if number not in taken)


@route("POST", f"{VM}/clone")
def clone(request: Request):
    params, source_path = request.params, f"/vms/{request.vmid}"
    newid = int(params.get("newid", 0)) if str(params.get("newid", "")).isdigit() else 0
    errors = dict.fromkeys(params.keys() - CLONE_OPTIONS, properties.UNKNOWN)
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
    kept = properties.checked({k: params[k] for k in ("name", "description") if k in params})
    kept.setdefault("name", f"Copy-of-VM-{source.name}")
    with guests.lock(newid):
        guests.check_unused(newid)
        Guest(newid, request.node, {"lock": "clone", **kept}).save()
    if pool:
        pools.change(pool, [newid])
    return tasks.start(
        request.node, "qmclone", request.vmid, request.caller.name, "clone",
        node=request.node, vmid=request.vmid, newid=newid, full=full, storage=storage,
    )  # fmt: skip


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


@route("DELETE", VM)
def destroy(request: Request):
    request.check(f"/vms/{request.vmid}", "VM.Allocate")
    guest = guests.load(request.node, request.vmid)
    if guest.config.get("protection"):
        raise ApiError(f"can't remove VM {request.vmid} - protection mode enabled")
    if machines.running(request.vmid):
        raise ApiError(f"VM {request.vmid} is running - destroy failed")
    guest.check_lock()
    return tasks.start(
        request.node, "qmdestroy", request.vmid, request.caller.name, "destroy",
        node=request.node, vmid=request.vmid, unreferenced=request.flag("destroy-unreferenced-disks"),
    )  # fmt: skip


def _with_agent(request: Request) -> int:
    request.check(f"/vms/{request.vmid}", "VM.GuestAgent.Audit", "VM.GuestAgent.Unrestricted")
    guest = guests.load(request.node, request.vmid)
    if not machines.running(request.vmid):
        raise ApiError(f"VM {request.vmid} is not running")
    agent = properties.parse(guest.config.get("agent", "0"), "enabled")
    if not properties.boolean(agent.get("enabled", "0")):
        raise ApiError("No QEMU guest agent configured")
    return request.vmid


@route("GET", f"{VM}/agent/network-get-interfaces")
def agent_interfaces(request: Request):
    return {"result": machines.interfaces(_with_agent(request))}


@route("POST", f"{VM}/agent/ping")
def agent_ping(request: Request):
    machines.interfaces(_with_agent(request))
    return {"result": {}}


@route("GET", f"{VM}/snapshot")
def snapshots(request: Request):
    guest = audited(request)
    process = machines.running(guest.vmid)
    return [{"name": "current", "description": "You are here!", "running": int(bool(process))}]


@route("GET", f"{VM}/firewall/{{part}}")
def firewall(request: Request):
    audited(request)
    return {} if request.names["part"] == "options" else []
