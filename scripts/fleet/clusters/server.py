"""Replace a loopback host in the server URL of a machine's kubeconfig: it only works on that machine."""

import ipaddress
import re
from typing import Any
from urllib.parse import urlsplit

from fleet.findings import Fault

HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")
# Narrower than a URL may be, so that no reader of URLs can see another host in it than this one does.
PLAIN = re.compile(r"https://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?")


def server_at(server: Any, address: str | None) -> str:
    """The server's URL with `address` in place of a loopback host. Raises Fault."""
    try:
        url = urlsplit(server)
        host, port = url.hostname or "", url.port
    except (ValueError, AttributeError, TypeError):
        host, port = "", None
    if not host or url.scheme not in ("https", "http"):
        raise Fault("the kubeconfig's server is not a URL; expected https://HOST:PORT")
    if not _is_local(host):
        return server
    if not address:
        raise Fault(
            f"the kubeconfig's server is {host}, which only works on the machine itself; give its address"
        )
    user, at, _ = url.netloc.rpartition("@")
    if _is_local(address.strip("[]")):
        raise Fault(
            f"the address {address} only works on the machine itself; give one that other computers can reach"
        )
    place = user + at + _checked_host(address) + (f":{port}" if port is not None else "")
    return url._replace(netloc=place).geturl()


def refuse_elsewhere(server: Any, machine: str, address: str | None) -> None:
    """Raise Fault unless the server's host is the machine: a loopback host, its name, or its address."""
    found = PLAIN.fullmatch(server) if isinstance(server, str) else None
    if not found:
        raise Fault(f"the server of {machine}'s kubeconfig is not a URL of the form https://HOST:PORT")
    host = found[1].strip("[]")
    own = [name for name in (machine, address) if name]
    if not _is_local(host) and _comparable(host) not in map(_comparable, own):
        raise Fault(
            f"the server of {machine}'s kubeconfig is {host}, which is not that machine ({', '.join(own)}); if this is"
            " the endpoint of its cluster, give it with --address"
        )


def _comparable(host: str) -> str:
    try:
        return str(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        return host.rstrip(".").lower()


def _is_local(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host.rstrip(".").lower() in ("localhost", "ip6-localhost", "ip6-loopback")
    address = getattr(address, "ipv4_mapped", None) or address  # not is_loopback before Python 3.13
    return address.is_loopback or address.is_unspecified


def _checked_host(address: str) -> str:
    try:
        found = ipaddress.ip_address(address.strip("[]"))
    except ValueError:
        if HOST.fullmatch(address):
            return address
        raise Fault(f"{address!r} is neither an IP address nor a host name") from None
    return f"[{found}]" if found.version == 6 else str(found)
