"""What the QEMU guest agent answers."""

from lab.proxmox import faults, guest_agent, guests
from lab.proxmox.routes import VM, Request, route


def _guest(request: Request) -> guests.Guest:
    wanted = (
        ("VM.GuestAgent.Audit", "VM.GuestAgent.Unrestricted") if faults.release() >= 9 else ("VM.Monitor",)
    )
    request.check(f"/vms/{request.vmid}", *wanted)
    return guests.load(request.node, request.vmid)


@route("GET", f"{VM}/agent/network-get-interfaces")
def agent_interfaces(request: Request):
    return {"result": guest_agent.interfaces(_guest(request))}


@route("GET", f"{VM}/agent/get-osinfo")
def agent_osinfo(request: Request):
    return {"result": guest_agent.os_info(_guest(request))}


@route("POST", f"{VM}/agent/ping")
def agent_ping(request: Request):
    return {"result": guest_agent.ping(_guest(request))}
