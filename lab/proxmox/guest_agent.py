"""What the API answers for the QEMU guest agent: what the machine's own says.

An empty machine (LAB_PROXMOX_HOLLOW) answers what its configuration says; with `ip=dhcp` that is the address
reserved for its MAC, or one of the pool by its VMID.
"""

import ipaddress
import os
import platform

from lab import dhcp
from lab.proxmox import agent_channel, faults, properties
from lab.proxmox.errors import ApiError
from lab.proxmox.guests import Guest
from lab.proxmox.machines import running
from lab.proxmox.schema import boolean


def enabled(options: dict) -> bool:
    agent = properties.parse(str(options.get("agent", "0")), "enabled")
    return bool(boolean(agent.get("enabled", "0")))


def _check(guest: Guest) -> None:
    """ApiError where Proxmox does not even ask."""
    if "agent" not in guest.config:
        raise ApiError("No QEMU guest agent configured")
    if not running(guest.vmid):
        raise ApiError(f"VM {guest.vmid} is not running")
    if not enabled(guest.config) or faults.agent_silent(guest.vmid):
        raise ApiError("QEMU guest agent is not running")


def _hollow() -> bool:
    return bool(os.environ.get("LAB_PROXMOX_HOLLOW"))


def ping(guest: Guest) -> dict:
    _check(guest)
    return {} if _hollow() else agent_channel.ask(guest.vmid, "guest-ping")


def interfaces(guest: Guest) -> list[dict]:
    _check(guest)
    return _configured(guest) if _hollow() else agent_channel.ask(guest.vmid, "guest-network-get-interfaces")


def os_info(guest: Guest) -> dict:
    _check(guest)
    return _host() if _hollow() else agent_channel.ask(guest.vmid, "guest-get-osinfo")


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


def _host() -> dict:
    """The host's own system, which an empty machine would run on."""
    about = platform.freedesktop_os_release()
    names = {
        "id": "ID",
        "name": "NAME",
        "pretty-name": "PRETTY_NAME",
        "version": "VERSION",
        "version-id": "VERSION_ID",
    }
    return {key: about[name] for key, name in names.items() if about.get(name)} | {
        "kernel-release": platform.release(),
        "kernel-version": platform.version(),
        "machine": platform.machine(),
    }
