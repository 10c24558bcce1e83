"""A machine's power: its status, start, stop, shutdown, reboot, reset."""

from lab.proxmox import guests, ha, machines, properties, tasks
from lab.proxmox.errors import ApiError
from lab.proxmox.routes import VM, Request, route
from lab.proxmox.schema import boolean
from lab.proxmox.summary import summary


@route("GET", f"{VM}/status")
def status_index(request: Request):
    return [{"subdir": name} for name in ("current", "start", "stop", "reset", "shutdown", "reboot")]


@route("GET", f"{VM}/status/current")
def status_current(request: Request):
    guest = request.audited()
    result = summary(guest)
    result["qmpstatus"] = result["status"]
    result["ha"] = {"managed": int(bool(ha.manages(guest.vmid)))}
    agent = properties.parse(guest.config.get("agent", "0"), "enabled")
    if boolean(agent.get("enabled", "0")):
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


def _by_ha(request: Request, kind: str, state: str) -> str | None:
    """The task that only tells HA the wanted state; None where HA does not look after the machine."""
    request.check(f"/vms/{request.vmid}", "VM.PowerMgmt")
    guests.load(request.node, request.vmid)
    if not ha.active(request.vmid):
        return None
    return tasks.start(
        request.node, kind, request.vmid, request.caller.name, "ha_request", vmid=request.vmid, state=state
    )


@route("POST", f"{VM}/status/start")
def start(request: Request):
    if task := _by_ha(request, "hastart", "started"):
        return task
    return _power(request, "qmstart", "start", node=request.node, timeout=request.number("timeout"))


@route("POST", f"{VM}/status/stop")
def stop(request: Request):
    if task := _by_ha(request, "hastop", "stopped"):
        return task
    return _power(request, "qmstop", "stop")


@route("POST", f"{VM}/status/shutdown")
def shutdown(request: Request):
    if task := _by_ha(request, "hastop", "stopped"):
        return task
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
