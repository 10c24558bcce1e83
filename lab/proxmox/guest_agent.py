"""What the QEMU guest agent would answer, looked up from outside the machine."""

import json
import os
import subprocess
from pathlib import Path

from lab.proxmox.errors import ApiError
from lab.proxmox.machines import running


def interfaces(vmid: int) -> list[dict]:
    """The guest agent's answer: the network interfaces as seen inside the machine."""
    status = running(vmid)
    if not status:
        raise ApiError(f"VM {vmid} is not running")
    if os.environ.get("LAB_PROXMOX_HOLLOW"):
        address = {"ip-address": "192.168.1.9", "prefix": 24, "ip-address-type": "ipv4"}
        return [{"name": "eth0", "hardware-address": "00:00:00:00:00:00", "ip-addresses": [address]}]
    leader = status.get("leader")
    if not leader or not Path(f"/proc/{leader}/root/run/sshd").exists():  # made when its services start
        raise ApiError("QEMU guest agent is not running")
    found = subprocess.run(
        ["nsenter", f"--target={leader}", "--net", "ip", "-json", "-stats", "address"],
        capture_output=True,
        text=True,
    )
    result = []
    for link in json.loads(found.stdout or "[]"):
        stats = link.get("stats64", {})
        result.append({
            "name": link["ifname"],
            "hardware-address": link.get("address", "00:00:00:00:00:00"),
            "ip-addresses": [
                {"ip-address": a["local"], "prefix": a["prefixlen"],
                 "ip-address-type": "ipv4" if a["family"] == "inet" else "ipv6"}
                for a in link.get("addr_info", [])
            ],
            "statistics": {f"{way}-{what}": stats.get(way, {}).get({"errs": "errors"}.get(what, what), 0)
                           for way in ("rx", "tx") for what in ("bytes", "packets", "errs", "dropped")},
        })  # fmt: skip
    return result
