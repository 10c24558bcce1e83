"""Start, stop and restart."""

from lab.proxmox import cloudinit, config, guests, ha, machines, mappings, state, volumes
from lab.proxmox.errors import ApiError


def start(node: str, vmid: int, timeout: int | None = None) -> int:
    with guests.lock(vmid):
        guest = guests.load(node, vmid)
        guest.check_lock()
        if machines.running(vmid):
            raise ApiError(f"VM {vmid} already running")
        for drive in config.drives(guest.effective()).values():
            if ":" in drive["file"] and not config.is_cloudinit(drive["file"]):
                volumes.size(node, drive["file"])  # its error names the missing volume
        guest.apply_pending()
        guest.save()
        if any(config.is_cloudinit(drive["file"]) for drive in config.drives(guest.config).values()):
            cloudinit.seed(guest.config, vmid, node)
        mappings.check_start(guest)
    warnings = int(guest.config.get("bios") == "ovmf" and "efidisk0" not in guest.config)
    if warnings:
        print("WARN: no efidisk configured! Using temporary efivars disk.", flush=True)
    with state.locked(f"start-{vmid}", timeout or 30):  # of two at once the second finds it running
        if machines.running(vmid):
            raise ApiError(f"VM {vmid} already running")
        return machines.start(vmid, timeout or 30) + warnings


def ha_request(vmid: int, state: str) -> None:
    print(f"Requesting HA {'start' if state == 'started' else 'stop'} for VM {vmid}", flush=True)
    ha.request(vmid, state)


def stop(vmid: int) -> None:
    machines.kill(vmid)


def shutdown(vmid: int, timeout: int = 180, force: bool = False) -> None:
    if not machines.shutdown(vmid, timeout):
        if not force:
            raise ApiError("VM quit/powerdown failed - got timeout")
        print("VM quit/powerdown failed - terminating now with SIGTERM", flush=True)
        machines.kill(vmid)


def reboot(node: str, vmid: int, timeout: int = 180) -> int:
    shutdown(vmid, timeout)
    return start(node, vmid)


def reset(node: str, vmid: int) -> int:
    machines.kill(vmid)
    return machines.start(vmid, 30)
