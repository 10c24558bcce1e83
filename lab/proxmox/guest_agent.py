"""What the API answers for the QEMU guest agent: what the machine's own says.

An empty machine (LAB_PROXMOX_HOLLOW) answers what its configuration says; with `ip=dhcp` that is the address
reserved for its MAC, or one of the pool by its VMID. Each card has a link-local IPv6 address, as on Linux.
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
    result = [_card("lo", "00:00:00:00:00:00", "127.0.0.1/8", "::1/128")]
    for key in sorted((k for k in guest.config if properties.NET.fullmatch(k)), key=lambda k: int(k[3:])):
        mac = properties.parse_net(key, guest.config[key])["macaddr"].upper()
        given = properties.parse(guest.config.get(f"ipconfig{key[3:]}", ""), "ip")
        address, address6 = given.get("ip"), given.get("ip6")
        if address == "dhcp":
            first = int(ipaddress.ip_address(dhcp.POOL[0]))
            address = dhcp.reserved().get(mac) or ipaddress.ip_address(first + guest.vmid % 50)
            address = f"{address}/24"
        if address6 in ("dhcp", "auto"):  # nobody in the lab's network would give one
            address6 = None
        result.append(_card(f"eth{key[3:]}", mac, address, address6, f"{_link_local(mac)}/64"))
    return result


def _card(name: str, mac: str, *addresses: str | None) -> dict:
    """As qemu-ga of Linux lists a card. It does not say which IPv6 addresses are temporary or deprecated."""
    interfaces = [ipaddress.ip_interface(address) for address in addresses if address]
    kinds = ("bytes", "dropped", "errs", "packets")
    return {
        "name": name,
        "hardware-address": mac.lower(),
        "ip-addresses": [
            {
                "ip-address": str(one.ip),
                "prefix": one.network.prefixlen,
                "ip-address-type": f"ipv{one.version}",
            }
            for one in interfaces
        ],
        "statistics": {f"{way}-{kind}": 0 for way in ("rx", "tx") for kind in kinds},
    }


def _link_local(mac: str) -> ipaddress.IPv6Address:
    octets = bytes.fromhex(mac.replace(":", ""))
    half = bytes([octets[0] ^ 2, *octets[1:3], 0xFF, 0xFE, *octets[3:]])
    return ipaddress.IPv6Address(bytes.fromhex("fe80" + 6 * "00") + half)


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
