"""The cloud-init drive, made as Proxmox makes it (PVE::QemuServer::Cloudinit, type nocloud).

Its instance-id is the SHA-1 of user-data and network-config: changed keys, user, address, MAC or DNS
make a new instance at the next start, and cloud-init then makes new SSH host keys.
"""

import hashlib
import ipaddress
import re
from urllib.parse import unquote

from lab.proxmox import properties

OPTIONS = re.compile(
    r"ipconfig\d+|cicustom|cipassword|citype|ciuser|ciupgrade|nameserver|searchdomain|sshkeys|name"
)


def user_data(config: dict, vmid: int) -> str:
    name = config.get("name", f"VM{vmid}")
    hostname, _, domain = name.partition(".")
    domain = domain or str(config.get("searchdomain", "")).split(" ")[0]
    lines = ["#cloud-config", f"hostname: {hostname}", "manage_etc_hosts: true"]
    lines.append(f"fqdn: {hostname}.{domain}" if domain else f"fqdn: {hostname}")
    user = config.get("ciuser")
    if user:
        lines.append(f"user: {user}")
    if user == "root":
        lines.append("disable_root: False")
    if config.get("cipassword"):
        lines.append(f"password: {config['cipassword']}")
    keys = [key for key in unquote(config.get("sshkeys", "")).split("\n") if key.strip()]
    if keys:
        lines += ["ssh_authorized_keys:", *(f"  - {key.rstrip()}" for key in keys)]
    lines += ["chpasswd:", "  expire: False"]
    if user != "root":
        lines += ["users:", "  - default"]
    if config.get("ciupgrade", 1):
        lines.append("package_upgrade: true")
    return "\n".join(lines) + "\n"


def network_config(config: dict) -> str:
    lines = ["version: 1", "config:"]
    for key in sorted(k for k in config if properties.NET.fullmatch(k)):
        number = key[3:]
        if f"ipconfig{number}" not in config:
            continue
        address = properties.parse(config[f"ipconfig{number}"], "ip")
        mac = properties.parse_net(key, config[key])["macaddr"].lower()
        lines += [
            "    - type: physical",
            f"      name: eth{number}",
            f"      mac_address: '{mac}'",
            "      subnets:",
        ]
        lines += _ipv4(address) + _ipv6(address)
    lines.append("    - type: nameserver")
    # Without own settings a node's resolver is handed on; the lab's node has none.
    if servers := config.get("nameserver", "").split():
        lines += ["      address:", *(f"      - '{server}'" for server in servers)]
    else:
        lines.append("      address: []")
    if domains := config.get("searchdomain", "").split():
        lines += ["      search:", *(f"      - '{domain}'" for domain in domains)]
    return "\n".join(lines) + "\n"


def _ipv4(address: dict) -> list[str]:
    if address.get("ip") == "dhcp":
        return ["      - type: dhcp4"]
    if "ip" not in address:
        return []
    interface = ipaddress.IPv4Interface(address["ip"])
    lines = [
        "      - type: static",
        f"        address: '{interface.ip}'",
        f"        netmask: '{interface.netmask}'",
    ]
    return lines + ([f"        gateway: '{address['gw']}'"] if "gw" in address else [])


def _ipv6(address: dict) -> list[str]:
    if address.get("ip6") in ("dhcp", "auto"):
        return ["      - type: " + {"dhcp": "dhcp6", "auto": "ipv6_slaac"}[address["ip6"]]]
    if "ip6" not in address:
        return []
    lines = ["      - type: static6", f"        address: '{address['ip6']}'"]
    return lines + ([f"        gateway: '{address['gw6']}'"] if "gw6" in address else [])


def seed(config: dict, vmid: int) -> dict[str, str]:
    """The three files of the drive by name."""
    user, network = user_data(config, vmid), network_config(config)
    instance = hashlib.sha1((user + network).encode()).hexdigest()
    return {"user-data": user, "network-config": network, "meta-data": f"instance-id: {instance}\n"}


def check_ipconfig(key: str, text: str) -> str | None:
    """What is wrong with an ipconfigN, in the words of the schema; None if nothing is."""
    fields = properties.parse(text, "ip")
    for name, value in fields.items():
        if name not in ("ip", "gw", "ip6", "gw6"):
            return f"invalid format - format error\n{name}: {properties.UNKNOWN}"
        allowed = {"ip": ("dhcp",), "ip6": ("dhcp", "auto")}.get(name, ())
        kind = ipaddress.IPv6Interface if name.endswith("6") else ipaddress.IPv4Interface
        try:
            if value not in allowed and (kind(value) and name.startswith("ip") and "/" not in value):
                raise ValueError
        except ValueError:
            return f"invalid format - format error\n{name}: value does not look like a valid ip address"
    if ("gw" in fields and "ip" not in fields) or ("gw6" in fields and "ip6" not in fields):
        return "invalid format - format error\ngateway specified without specifying an IP address"
    return None
