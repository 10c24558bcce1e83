"""What the QEMU guest agent answers."""

from lab.proxmox import guest_agent, guests, machines, properties
from lab.proxmox.errors import ApiError
from lab.proxmox.routes import VM, Request, route


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
    return {"result": guest_agent.interfaces(_with_agent(request))}


@route("POST", f"{VM}/agent/ping")
def agent_ping(request: Request):
    guest_agent.interfaces(_with_agent(request))
    return {"result": {}}
