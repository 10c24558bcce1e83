"""What is wrong with the description of a K3s cluster, before any of its machines is asked."""

import ipaddress
import re

from fleet.clusters.server import HOST
from fleet.findings import listed
from fleet.members.cluster import Cluster

MODES = ("none", "haproxy", "kube-vip")


def problems(cluster: Cluster) -> list[str]:
    """Why nothing can be done with a cluster that is described so, each with the way out; empty when it can."""
    planes = [one.name for one in cluster.control_planes]
    found = []
    if not planes:
        found.append(f"{cluster.name} has no control plane in the inventory; add {cluster.name}-cp01")
    elif len(planes) % 2 == 0:
        found.append(
            f"{cluster.name} has {len(planes)} control planes in the inventory ({listed(planes)}). With an even number"
            " etcd survives no more failures than with one less: add one or remove one, in the same push"
        )
    found += _differences(cluster)
    if cluster.mode not in MODES:
        found.append(f"k8s_ha_endpoint_mode is {cluster.mode!r}; it is one of {', '.join(MODES)}")
    elif planes:
        found += _endpoint_problems(cluster)
    addresses: dict[str, str] = {}
    for one in cluster.members:
        if (other := addresses.setdefault(one.address, one.name)) != one.name:
            found.append(f"{other} and {one.name} have the same address {one.address} in the inventory")
    return found


def _differences(cluster: Cluster) -> list[str]:
    """Settings that members disagree about, though a cluster has one value of each."""
    seen: dict[str, dict[str, list[str]]] = {}
    for one in cluster.targets:
        for key, value in one.settings.items():
            seen.setdefault(key, {}).setdefault(str(value), []).append(one.name)
    return [
        f"k8s_ha_{key} differs: "
        + "; ".join(f"{value or 'empty'} for {listed(names)}" for value, names in values.items())
        + f". Set it once, for all of {cluster.name}"
        for key, values in seen.items()
        if len(values) > 1
    ]


def _endpoint_problems(cluster: Cluster) -> list[str]:
    endpoint, name = cluster.endpoint, cluster.name
    if not endpoint:
        return [
            f"{name} has several load balancers and no shared address: give them haproxy_vip, or the members"
            " k8s_ha_endpoint"
        ]
    if not _is_host(endpoint):
        return [
            f"k8s_ha_endpoint is {endpoint!r}, which the API's certificate cannot have: it is an address or a DNS"
            " name alone, without https:// and port"
        ]
    own = [one.name for one in cluster.members if endpoint in (one.address, one.name)]
    if cluster.mode == "kube-vip" and own:
        return [f"k8s_ha_endpoint {endpoint} is {own[0]} itself; kube-vip needs a free address of its own"]
    if cluster.mode == "none" and own and own[0] not in [one.name for one in cluster.control_planes]:
        return [f"k8s_ha_endpoint {endpoint} is the worker {own[0]}, where no API answers"]
    return []


def _is_host(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return bool(HOST.fullmatch(text)) and not re.fullmatch(r"[0-9.]+", text)
    return not (address.is_loopback or address.is_unspecified or address.is_multicast)
