"""What the QEMU guest agent would answer, looked up from outside the machine.

An empty machine (LAB_PROXMOX_HOLLOW) answers what its configuration says; with `ip=dhcp` that is the address
reserved for its MAC, or one of the pool by its VMID.
"""

import ipaddress
import json
import os
import platform
import shlex
import subprocess
from pathlib import Path

from lab import dhcp
from lab.proxmox import faults, properties
from lab.proxmox.errors import ApiError
from lab.proxmox.guests import Guest
from lab.proxmox.machines import running
from lab.proxmox.schema import boolean


def _leader(guest: Guest) -> int | None:
    """The pid of the machine's init, None for an empty machine. ApiError when no agent would answer."""
    if "agent" not in guest.config:
        raise ApiError("No QEMU guest agent configured")
    status = running(guest.vmid)
    if not status:
        raise ApiError(f"VM {guest.vmid} is not running")
    agent = properties.parse(guest.config["agent"], "enabled")
    if not boolean(agent.get("enabled", "0")) or faults.agent_silent(guest.vmid):
        raise ApiError("QEMU guest agent is not running")
    if os.environ.get("LAB_PROXMOX_HOLLOW"):
        return None
    leader = status.get("leader")
    if not leader or not Path(f"/proc/{leader}/root/run/sshd").exists():  # made when its services start
        raise ApiError("QEMU guest agent is not running")
    return leader


def ping(guest: Guest) -> dict:
    _leader(guest)
    return {}


def interfaces(guest: Guest) -> list[dict]:
    """The network interfaces as seen inside the machine."""
    leader = _leader(guest)
    if leader is None:
        return _configured(guest)
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


def _configured(guest: Guest) -> list[dict]:
    def entry(name: str, mac: str, address: str | None) -> dict:
        item = {"name": name, "hardware-address": mac.lower()}
        if address:
            interface = ipaddress.ip_interface(address)
            item["ip-addresses"] = [
                {"ip-address": str(interface.ip), "prefix": interface.network.prefixlen,
                 "ip-address-type": f"ipv{interface.version}"}
            ]  # fmt: skip
        return item

    result = [entry("lo", "00:00:00:00:00:00", "127.0.0.1/8")]
    for key in sorted((k for k in guest.config if properties.NET.fullmatch(k)), key=lambda k: int(k[3:])):
        mac = properties.parse_net(key, guest.config[key])["macaddr"].upper()
        address = properties.parse(guest.config.get(f"ipconfig{key[3:]}", ""), "ip").get("ip")
        if address == "dhcp":
            first = int(ipaddress.ip_address(dhcp.POOL[0]))
            address = dhcp.reserved().get(mac) or ipaddress.ip_address(first + guest.vmid % 50)
            address = f"{address}/24"
        result.append(entry(f"eth{key[3:]}", mac, address))
    return result


def os_info(guest: Guest) -> dict:
    """The system's name and version, from its own os-release; the kernel is the host's."""
    leader = _leader(guest)
    file = Path(f"/proc/{leader}/root/etc/os-release" if leader else "/etc/os-release")
    fields = dict(line.split("=", 1) for line in file.read_text().splitlines() if "=" in line)
    names = {
        "id": "ID",
        "name": "NAME",
        "pretty-name": "PRETTY_NAME",
        "version": "VERSION",
        "version-id": "VERSION_ID",
    }
    system = {key: shlex.split(fields[name])[0] for key, name in names.items() if fields.get(name)}
    return system | {
        "kernel-release": platform.release(),
        "kernel-version": platform.version(),
        "machine": platform.machine(),
    }
