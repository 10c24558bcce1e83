"""Filters of the role haproxy: a load balancer's clusters as back ends and frontends, and what conflicts.

They are in Python rather than in templates because they are rules with cases. What a machine's name means is asked of
scripts/fleet/names.py, which this file finds beside the role's checkout. Nothing here reads what a machine answers.
"""

import sys
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[5] / "scripts"))

from fleet import names

API = 6443
# Lines of a cluster's back end. A server that refuses connections is out within 3 s, one that lost power within 7 s;
# until then a connection that it does not take goes to another, after 2 s at most. A busy server may take longer: 5 s
# for its answer, and one late answer alone does no harm. What a dead server still held is cut, so that a watch starts
# anew elsewhere instead of waiting for an answer. A watch, a log or a shell may be silent for as long as the kubelet
# allows, 4 h; the kernel asks meanwhile whether both ends are alive.
BACKEND = (
    "timeout connect 2s",
    "timeout check 5s",
    "timeout tunnel 4h",
    "option redispatch 1",
    "option srvtcpka",
    "default-server inter 2s fastinter 500ms downinter 1s fall 2 rise 2 on-marked-down shutdown-sessions",
)
FRONTEND = ("option clitcpka", "timeout client-fin 30s")
ANY = {"*", "0.0.0.0"}


def _control_planes(groups: Mapping[str, Sequence[str]], cluster: str) -> list[str]:
    """The machines of the inventory that run a cluster of several's API."""
    machines = {name for group in ("k3s", *names.GROUPS) for name in groups.get(group, ())}
    return sorted(
        name
        for name in machines
        if name != cluster and names.is_control_plane(name) and names.cluster_of(name) == cluster
    )


def clusters_served(groups: Mapping[str, Sequence[str]], host: str) -> list[dict]:
    """The clusters whose API a load balancer serves by its name, of those that have control planes here."""
    return [{"name": name} for name in names.clusters_served_by(host) if _control_planes(groups, name)]


def single_machines(machines: Sequence[str]) -> list[str]:
    """Those that are a cluster of their own: a member's API is its cluster's."""
    return sorted(name for name in machines if names.cluster_of(name) in (None, name))


def cluster_backends(
    clusters: Sequence[Mapping], groups: Mapping[str, Sequence[str]], hostvars: Mapping
) -> list[dict]:
    """haproxy_clusters as haproxy_backends: with servers given, those of a group or the control planes."""

    def servers(cluster: Mapping) -> list[dict]:
        if cluster.get("servers"):
            return list(cluster["servers"])
        group = cluster.get("group")
        hosts = sorted(groups.get(group, ())) if group else _control_planes(groups, cluster.get("name", ""))
        port = int(cluster.get("server_port", API))
        return [
            {"name": host, "address": hostvars[host].get("ansible_host", host), "port": port}
            for host in hosts
        ]

    check = {"check": "https", "check_path": "/readyz", "check_status": "200,401", "balance": "leastconn"}
    return [
        {"name": cluster.get("name", ""), **check, "extra": list(BACKEND), "servers": servers(cluster)}
        for cluster in clusters
    ]


def cluster_frontends(clusters: Sequence[Mapping]) -> list[dict]:
    """haproxy_clusters as haproxy_frontends."""
    return [
        {
            "name": cluster.get("name", ""),
            "address": cluster.get("address", "*"),
            "port": int(cluster.get("port", API)),
            "backend": cluster.get("name", ""),
            "extra": list(FRONTEND),
        }
        for cluster in clusters
    ]


def _overlap(one: str, other: str) -> bool:
    """Whether two addresses of sockets with the same port are in each other's way."""
    if one == other or "::" in (one, other):
        return True
    return bool({one, other} & ANY) and ":" not in one + other


def socket_conflicts(frontends: Sequence[Mapping]) -> list[str]:
    """What cannot be at the same time, a sentence each with the way out."""
    found = []
    for one, other in combinations(frontends, 2):
        if one.get("name") == other.get("name"):
            found.append(f"Two frontends are called {one.get('name')}: rename one of them.")
        here, there = (str(each.get("address", "*")) for each in (one, other))
        if one.get("port") == other.get("port") and _overlap(here, there):
            found.append(
                f"{one.get('name')} and {other.get('name')} would both listen on {here}:{one.get('port')}."
                " Give one of them another port or address, in haproxy_clusters where it is a cluster:"
                f" [{{name: {one.get('name')}, port: {one.get('port')}}}, {{name: {other.get('name')}, port: …}}]."
            )
    return found


def faults(
    backends: Sequence[Mapping],
    frontends: Sequence[Mapping],
    stats: Mapping,
    clusters: Sequence[Mapping],
    shared: Mapping,
) -> list[str]:
    """What is wrong with all that is to be balanced, a sentence or two each with the way out."""
    if not (backends and frontends):
        return [
            "Give at least one of haproxy_backends and one of haproxy_frontends, or of haproxy_clusters.",
            *shared["problems"],
        ]
    found, of_clusters = socket_conflicts([stats, *frontends]), {one.get("name") for one in clusters}
    for backend in backends:
        if backend["servers"]:
            continue
        name, why = backend["name"], "."
        if name == "k3s_api":
            why = ": the inventory has no single machine in [k3s], so give haproxy_clusters, or haproxy_backends and"
            why += " haproxy_frontends."
        elif name in of_clusters:
            why = f": the inventory has no control plane of that cluster, {name}-cp1. Give its servers or a group."
        found.append(f"Backend {name} has no server{why}")
    modes = {backend["name"]: backend.get("mode", "tcp") for backend in backends}
    found += [
        f"Frontend {one['name']} needs a backend {one['backend']} of the same mode (tcp unless said);"
        f" there are {', '.join(modes)}."
        for one in frontends
        if modes.get(one["backend"]) != one.get("mode", "tcp")
    ]
    return [*found, *shared["problems"]]


class FilterModule:
    """What Ansible asks for."""

    def filters(self) -> dict:
        return {
            "haproxy_clusters_served": clusters_served,
            "haproxy_single_machines": single_machines,
            "haproxy_cluster_backends": cluster_backends,
            "haproxy_cluster_frontends": cluster_frontends,
            "haproxy_faults": faults,
        }
