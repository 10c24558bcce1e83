"""The addresses of `ipconfig0`: what they mean, and what is wrong with them."""

import functools
import ipaddress
from collections.abc import Mapping
from typing import NamedTuple

from fleet.findings import cut

Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_PARTS = ("ip", "gw", "ip6", "gw6")


class IPConfig(NamedTuple):
    """What could be understood of one ipconfig0; None for what is absent or wrong.

    `automatic6` is `dhcp` or `auto` where the machine finds its IPv6 address itself.
    """

    ip: ipaddress.IPv4Interface | None = None
    gw: ipaddress.IPv4Address | None = None
    ip6: ipaddress.IPv6Interface | None = None
    gw6: ipaddress.IPv6Address | None = None
    automatic6: str | None = None

    @property
    def interfaces(self) -> tuple[Interface, ...]:
        """The addresses that are known, with their prefix lengths."""
        return tuple(interface for interface in (self.ip, self.ip6) if interface)


@functools.lru_cache(maxsize=1 << 15)
def parse(text: str) -> tuple[IPConfig, list[str]]:
    """Read `ip=192.168.1.20/24,gw=192.168.1.1,ip6=dhcp`: (addresses, what is wrong)."""
    parts: dict[str, str] = {}
    problems: list[str] = []
    for part in text.split(","):
        key, equals, value = part.partition("=")
        if key not in _PARTS or not equals or not value or value != value.strip():
            problems.append(
                f"{cut(part)!r} is not one of ip=, gw=, ip6=, gw6= with a value and without spaces"
            )
        elif key in parts:
            problems.append(f"{key} is set twice; keep one of them")
        else:
            parts[key] = value
    ip = _static(parts, "ip", ipaddress.IPv4Interface, problems)
    automatic6 = parts["ip6"] if parts.get("ip6") in ("dhcp", "auto") else None
    ip6 = None if automatic6 else _static(parts, "ip6", ipaddress.IPv6Interface, problems)
    gw = _gateway(parts, "gw", ip, problems)
    gw6 = _gateway(parts, "gw6", ip6, problems)
    return IPConfig(ip, gw, ip6, gw6, automatic6), problems


def _static(parts: Mapping[str, str], key: str, kind: type, problems: list[str]) -> Interface | None:
    version = 6 if key == "ip6" else 4
    text = parts.get(key)
    if text is None:
        if key == "ip" and not problems:
            problems.append(
                "ip is missing; the inventory and host keys need a known address (ip=192.168.1.20/24)"
            )
        return None
    if text in ("dhcp", "auto", "manual"):
        problems.append(
            f"{key}={text} is not supported: the inventory and host keys need a known address; write it as a.b.c.d/n"
        )
        return None
    address, slash, prefix = text.partition("/")
    try:
        if "%" in text:
            raise ValueError
        bare = ipaddress.ip_address(address)
    except ValueError:
        problems.append(f"{key}={cut(text)} is not an IPv{version} address{_leading_zeros(address)}")
        return None
    if bare.version != version:
        problems.append(
            f"{key}={text} is an IPv{bare.version} address; write it as {'ip6' if key == 'ip' else 'ip'}="
        )
        return None
    bits = bare.max_prefixlen
    if not (
        slash
        and prefix.isascii()
        and prefix.isdigit()
        and str(int(prefix[:4])) == prefix
        and int(prefix) <= bits
    ):
        wrong = "has no prefix length" if not slash else f"needs a prefix length from 1 to {bits}"
        problems.append(f"{key}={cut(text)} {wrong}; for example {address}/{'24' if version == 4 else '64'}")
        return None
    interface = kind(text)
    problem = _unusable(interface)
    if problem:
        problems.append(f"{key}={text} {problem}")
        return None
    return interface


def _unusable(interface: Interface) -> str:
    """Why a machine cannot have this address; empty when it can."""
    address, network = interface.ip, interface.network
    kinds = ("is_unspecified", "is_loopback", "is_multicast", "is_link_local", "is_reserved")
    for kind in kinds:
        # Half of IPv6 is formally "reserved", which says nothing here.
        if getattr(address, kind) and not (kind == "is_reserved" and address.version == 6):
            return f"is {kind[3:].replace('_', '-')} and cannot be a machine's address"
    if address.version == 6 and address.ipv4_mapped:
        return "is an IPv4 address in IPv6 notation; write it as ip="
    if network.prefixlen == 0:
        return "makes the whole Internet its subnet; give your subnet's prefix length"
    if network.prefixlen >= network.max_prefixlen - 1:
        return ""
    if address == network.network_address:
        first = network.network_address + 1
        return f"is the address of the network itself; the first usable one is {first}/{network.prefixlen}"
    if address.version == 4 and address == network.broadcast_address:
        last = network.broadcast_address - 1
        return f"is the broadcast address of {network}; the last usable one is {last}/{network.prefixlen}"
    return ""


def _gateway(
    parts: Mapping[str, str], key: str, interface: Interface | None, problems: list[str]
) -> Address | None:
    text = parts.get(key)
    if text is None:
        return None
    own, version = ("ip6", 6) if key == "gw6" else ("ip", 4)
    if parts.get(own) is None:
        problems.append(f"{key} is set without {own}; add {own}, or remove {key}")
        return None
    if key == "gw6" and parts[own] in ("dhcp", "auto"):
        problems.append(f"gw6 is set with ip6={parts[own]}, where the router announces itself; remove gw6")
        return None
    try:
        if "%" in text:
            raise ValueError
        gateway = ipaddress.ip_address(text)
    except ValueError:
        hint = "; a gateway has no prefix length" if "/" in text else _leading_zeros(text)
        problems.append(f"{key}={cut(text)} is not an IPv{version} address{hint}")
        return None
    if gateway.version != version:
        problems.append(f"{key}={text} is an IPv{gateway.version} address")
        return None
    if interface is None:
        return gateway
    network = interface.network
    if gateway == interface.ip:
        problems.append(f"{key}={text} is the machine's own address; give the router's address")
    elif version == 6 and gateway.is_link_local:
        return gateway  # reachable on every link
    elif gateway not in network:
        problems.append(
            f"{key}={text} is outside the machine's subnet {network}; {_outside(interface, gateway)}"
        )
    elif (
        network.prefixlen < network.max_prefixlen - 1 and gateway == network.network_address and version == 4
    ):
        problems.append(f"{key}={text} is the address of the network itself; give the router's address")
    elif (
        network.prefixlen < network.max_prefixlen - 1
        and gateway == network.broadcast_address
        and version == 4
    ):
        problems.append(f"{key}={text} is the broadcast address of {network}; give the router's address")
    else:
        return gateway
    return None


def _outside(interface: Interface, gateway: Address) -> str:
    low = 16 if interface.version == 4 else 48
    for prefix in range(interface.network.prefixlen - 1, low - 1, -1):
        if gateway in ipaddress.ip_network(f"{interface.ip}/{prefix}", strict=False):
            return f"did you mean {interface.ip}/{prefix}, or another gateway?"
    return "one of the two is mistyped"


def _leading_zeros(text: str) -> str:
    parts = text.split(".")
    if len(parts) == 4 and all(part.isascii() and part.isdigit() for part in parts):
        plain = ".".join(str(int(part[:9])) for part in parts)
        if plain != text:
            return f"; did you mean {plain}? (some programs read leading zeros as octal)"
    return ""
