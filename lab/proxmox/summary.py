"""What lists and status/current answer about a machine."""

import time

from lab.proxmox import access, config, machines, properties
from lab.proxmox.guests import Guest


def summary(guest: Guest, caller: access.Caller | None = None) -> dict:
    """A machine as lists and status/current show it."""
    current = guest.config
    process = (
        None if guest.template or current.get("lock") in ("clone", "create") else machines.running(guest.vmid)
    )
    disks = config.disks(current)
    result = {
        "vmid": guest.vmid,
        "name": guest.config.get("name", f"VM {guest.vmid}"),
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
