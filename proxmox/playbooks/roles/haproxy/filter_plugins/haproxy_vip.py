"""The filter of the role haproxy for the address that several load balancers share, from the inventory alone."""

import ipaddress
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[5] / "scripts"))

from fleet import names

FIRST = 200  # the priority of the first machine; one that comes later changes no other's


def peers_by_name(groups: Mapping[str, Sequence[str]], host: str) -> list[str]:
    """The other load balancers of the inventory that serve the same clusters by their names."""
    served = names.clusters_served_by(host)
    return sorted(
        name
        for name in groups.get("haproxy", ())
        if served and name != host and names.clusters_served_by(name) == served
    )


def _interface(text: str) -> ipaddress.IPv4Interface | None:
    try:
        return ipaddress.IPv4Interface(text) if "/" in str(text) else None
    except ValueError:
        return None


def _address(hostvars: Mapping, host: str) -> ipaddress.IPv4Address | None:
    try:
        return ipaddress.IPv4Address(str(hostvars[host].get("ansible_host", host)))
    except ValueError:
        return None


def _router(vip: ipaddress.IPv4Interface, given: object) -> int:
    """The number of the virtual router: given or the last part of its address; 0 where there can be none."""
    number = str(given or vip.ip.packed[-1])
    return int(number) if number.isdigit() and 1 <= int(number) <= 255 else 0


def shared_address(
    groups: Mapping[str, Sequence[str]],
    host: str,
    hostvars: Mapping,
    vip: str,
    vrrp_id: object = None,
    peers: Sequence[str] = (),
) -> dict:
    """What keepalived is told: address, own, peers (addresses), id, priority; `problems`: sentences."""
    shared, own = _interface(vip), _address(hostvars, host)
    if not shared:
        return {
            "problems": [f"haproxy_vip is {vip}: give an IPv4 address and its prefix, as in 192.168.1.5/24."]
        }
    if not own:
        return {"problems": ["haproxy_vip needs a machine whose ansible_host is an IPv4 address."]}
    family = sorted({host, *peers})
    found = []
    if unknown := [name for name in peers if name not in groups.get("all", ())]:
        return {"problems": [f"haproxy_peers names {', '.join(unknown)}, which the inventory does not have."]}
    others = {name: _address(hostvars, name) for name in peers}
    found += [
        f"haproxy_vip needs the address of {name}: its ansible_host is no IPv4 address."
        for name, address in others.items()
        if not address
    ]
    outside = [name for name in family if (at := _address(hostvars, name)) and at not in shared.network]
    if shared.network.prefixlen < 32 and outside:
        found.append(
            f"{shared} is not in the network of {', '.join(outside)}: correct the address or its prefix."
        )
    router = _router(shared, vrrp_id)
    if not router:
        found.append(
            f"{vrrp_id or shared.ip.packed[-1]} is no virtual router: give haproxy_vrrp_id, 1 to 255."
        )
    found += _taken(groups, hostvars, shared, router, set(family))
    for name in peers:
        theirs = hostvars[name].get("haproxy_vip", "")
        their = _interface(theirs)
        if their != shared or _router(shared, hostvars[name].get("haproxy_vrrp_id")) != router:
            found.append(
                f"{name} is a peer, but has haproxy_vip {theirs or 'not set'} and another haproxy_vrrp_id or none:"
                f" give both to all of {', '.join(family)}, or leave {name} out by haproxy_peers."
                if their == shared
                else f"{name} is a peer, but its haproxy_vip is {theirs or 'not set'}: give {shared} to all of"
                f" {', '.join(family)}, as in [haproxy:vars] of the inventory, or leave {name} out by haproxy_peers."
            )
    return {
        "address": str(shared.ip),
        "own": str(own),
        "peers": sorted(map(str, others.values())),
        "id": router,
        "priority": FIRST - family.index(host),
        "problems": found,
    }


def _taken(
    groups: Mapping[str, Sequence[str]],
    hostvars: Mapping,
    shared: ipaddress.IPv4Interface,
    router: int,
    family: set[str],
) -> list[str]:
    """Who else in the inventory has the address or, among load balancers, the number."""
    found = [
        f"{shared.ip} is the address of {name} itself: choose one that no machine has."
        for name in sorted(groups.get("all", ()))
        if _address(hostvars, name) == shared.ip
    ]
    for name in sorted(set(groups.get("haproxy", ())) - family):
        their = _interface(hostvars[name].get("haproxy_vip", ""))
        if their and their.ip == shared.ip:
            found.append(
                f"{name} shares {shared.ip} too, but is no peer: name it in haproxy_peers on both sides."
            )
        elif their and _router(their, hostvars[name].get("haproxy_vrrp_id")) == router:
            found.append(
                f"{name} has the virtual router {router} too, for {their.ip}:"
                " give one of the two another haproxy_vrrp_id."
            )
    return found


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict:
        return {"haproxy_peers_by_name": peers_by_name, "haproxy_shared_address": shared_address}
