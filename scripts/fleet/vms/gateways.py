"""The gateways of `ipconfig0`: whether each fits the machine's address."""

import ipaddress
from collections.abc import Mapping

from fleet.findings import cut

Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def gateway(
    parts: Mapping[str, str], key: str, interface: Interface | None, problems: list[str]
) -> Address | None:
    text = parts.get(key)
    if text is None:
        return None
    own, version = ("ip6", 6) if key == "gw6" else ("ip", 4)
    if parts.get(own) is None:
        problems.append(f"{key} is set without {own}; add {own}, or remove {key}")
        return None
    if parts[own] in ("dhcp", "auto"):
        source = "the router announces itself" if key == "gw6" else "the DHCP server names the gateway"
        problems.append(f"{key} is set with {own}={parts[own]}, where {source}; remove {key}")
        return None
    try:
        if "%" in text:
            raise ValueError
        address = ipaddress.ip_address(text)
    except ValueError:
        hint = "; a gateway has no prefix length" if "/" in text else leading_zeros(text)
        problems.append(f"{key}={cut(text)} is not an IPv{version} address{hint}")
        return None
    if address.version != version:
        problems.append(f"{key}={text} is an IPv{address.version} address")
        return None
    if interface is None:
        return address
    network = interface.network
    if address == interface.ip:
        problems.append(f"{key}={text} is the machine's own address; give the router's address")
    elif version == 6 and address.is_link_local:
        return address  # reachable on every link
    elif network.num_addresses == 1 and _is_unicast(address):
        return address  # a provider that routes single addresses has its gateway elsewhere
    elif address not in network:
        problems.append(
            f"{key}={text} is outside the machine's subnet {network}; {_outside(interface, address)}"
        )
    elif (
        network.prefixlen < network.max_prefixlen - 1 and address == network.network_address and version == 4
    ):
        problems.append(f"{key}={text} is the address of the network itself; give the router's address")
    elif (
        network.prefixlen < network.max_prefixlen - 1
        and address == network.broadcast_address
        and version == 4
    ):
        problems.append(f"{key}={text} is the broadcast address of {network}; give the router's address")
    else:
        return address
    return None


def _is_unicast(address: Address) -> bool:
    return not (
        address.is_unspecified
        or address.is_loopback
        or address.is_multicast
        or str(address) == "255.255.255.255"
    )


def _outside(interface: Interface, gateway: Address) -> str:
    low = 16 if interface.version == 4 else 48
    for prefix in range(interface.network.prefixlen - 1, low - 1, -1):
        if gateway in ipaddress.ip_network(f"{interface.ip}/{prefix}", strict=False):
            return f"did you mean {interface.ip}/{prefix}, or another gateway?"
    return "one of the two is mistyped"


def leading_zeros(text: str) -> str:
    """A hint for an IPv4 address such as 192.168.001.020; "" for any other text."""
    parts = text.split(".")
    if len(parts) == 4 and all(part.isascii() and part.isdigit() for part in parts):
        plain = ".".join(str(int(part[:9])) for part in parts)
        if plain != text:
            return f"; did you mean {plain}? (some programs read leading zeros as octal)"
    return ""
