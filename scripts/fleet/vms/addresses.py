"""The addresses of `ipconfig0` and `address`: what they mean, and what is wrong with them.

More than 150 lines because each wrong address is told with the way out.
"""

import functools
import ipaddress
from collections.abc import Mapping
from typing import NamedTuple

from fleet.findings import cut
from fleet.vms.gateways import Address, Interface, gateway, leading_zeros

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_PARTS = ("ip", "gw", "ip6", "gw6")
_FORMS = {4: "a.b.c.d/n", 6: "2001:db8::20/64"}


class IPConfig(NamedTuple):
    """What could be understood of one ipconfig0; None for what is absent or wrong.

    `automatic4` is `dhcp` where a DHCP server gives the machine its IPv4 address, `automatic6` is `dhcp` or `auto`
    where the machine finds its IPv6 address itself.
    """

    ip: ipaddress.IPv4Interface | None = None
    gw: ipaddress.IPv4Address | None = None
    ip6: ipaddress.IPv6Interface | None = None
    gw6: ipaddress.IPv6Address | None = None
    automatic6: str | None = None
    automatic4: str | None = None

    @property
    def interfaces(self) -> tuple[Interface, ...]:
        """The addresses that are known, with their prefix lengths."""
        return tuple(interface for interface in (self.ip, self.ip6) if interface)

    @property
    def distant_gateways(self) -> tuple[tuple[Interface, Address], ...]:
        """Each address with a gateway that is not on its link, as for a /32."""
        pairs = ((self.ip, self.gw), (self.ip6, self.gw6))
        return tuple((own, gw) for own, gw in pairs if own and gw and not _on_link(own, gw))


def _on_link(own: Interface, gateway: Address) -> bool:
    return gateway in own.network or (gateway.version == 6 and gateway.is_link_local)


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
    automatic4 = "dhcp" if parts.get("ip") == "dhcp" else None
    automatic6 = parts["ip6"] if parts.get("ip6") in ("dhcp", "auto") else None
    ip = None if automatic4 else _static(parts, "ip", ipaddress.IPv4Interface, problems)
    ip6 = None if automatic6 else _static(parts, "ip6", ipaddress.IPv6Interface, problems)
    gw = gateway(parts, "gw", ip, problems)
    gw6 = gateway(parts, "gw6", ip6, problems)
    return IPConfig(ip, gw, ip6, gw6, automatic6, automatic4), problems


def reserved(text: str) -> tuple[ipaddress.IPv4Address | None, str]:
    """Read `address`, an IPv4 address without prefix length: (address, what is wrong with it)."""
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError:
        bare = text.partition("/")[0]
        try:
            version = ipaddress.ip_address(bare).version
        except ValueError:
            return None, f"{cut(text) or '(empty)'} is not an IPv4 address{leading_zeros(bare)}"
        if version == 6:
            return None, f"{cut(text)} is an IPv6 address; give the IPv4 address that is reserved"
        return None, f"{cut(text)} has a prefix length, which the DHCP server gives; write {bare}"
    problem = unusable(ipaddress.IPv4Interface(address))
    return (None, f"{address} {problem}") if problem else (address, "")


def _static(parts: Mapping[str, str], key: str, kind: type, problems: list[str]) -> Interface | None:
    version = 6 if key == "ip6" else 4
    text = parts.get(key)
    if text is None:
        if key == "ip" and not problems:
            problems.append(
                "ip is missing; give the machine's address (ip=192.168.1.20/24), or write ip=dhcp"
            )
        return None
    if text in ("auto", "manual"):
        reason = "IPv4 has no such setting" if text == "auto" else "nothing would give the machine an address"
        ways = f"{key}=dhcp" if version == 4 else "ip6=dhcp, ip6=auto"
        problems.append(
            f"{key}={text} is not supported: {reason}; write {ways}, or the address as {_FORMS[version]}"
        )
        return None
    address, slash, prefix = text.partition("/")
    try:
        if "%" in text:
            raise ValueError
        bare = ipaddress.ip_address(address)
    except ValueError:
        problems.append(f"{key}={cut(text)} is not an IPv{version} address{leading_zeros(address)}")
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
    problem = unusable(interface)
    if problem:
        problems.append(f"{key}={text} {problem}")
        return None
    return interface


def unusable(interface: Interface) -> str:
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
