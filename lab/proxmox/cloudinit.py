"""The cloud-init drive, made as Proxmox makes it (PVE::QemuServer::Cloudinit, type nocloud).

Its instance-id is the SHA-1 of user-data and network-config: changed keys, user, address, MAC or DNS
make a new instance at the next start, and cloud-init then makes new SSH host keys.
"""

import hashlib
import ipaddress
import re
from urllib.parse import unquote

from lab.proxmox import properties, volumes
from lab.proxmox.errors import ApiError

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


def seed(config: dict, vmid: int, node: str) -> dict[str, str]:
    """The files of the drive by name. ApiError when a file of cicustom cannot be read, as at each start."""
    own = {
        kind: _snippet(node, volid)
        for kind, volid in properties.parse(config.get("cicustom", ""), "").items()
    }
    user, network = own.get("user") or user_data(config, vmid), own.get("network") or network_config(config)
    instance = hashlib.sha1((user + network).encode()).hexdigest()
    meta = own.get("meta") or f"instance-id: {instance}\n"
    files = {"user-data": user, "network-config": network, "meta-data": meta}
    return files | ({"vendor-data": own["vendor"]} if "vendor" in own else {})


def _snippet(node: str, volid: str) -> str:
    if volumes.content(volid) != "snippets":
        raise ApiError(f"{volid} is not in the snippets directory")
    try:
        return volumes.path(node, volid).read_text()
    except FileNotFoundError:
        shown = f"/var/lib/vz/{volumes.split(volid)[1]}"
        raise ApiError(f"can't open '{shown}' - No such file or directory") from None
