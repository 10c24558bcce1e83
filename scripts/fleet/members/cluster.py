"""Clusters of several machines as the role k8s_ha describes them.

`clusters` takes what the inventory says:

    {"hosts":          {NAME: {"address": ADDRESS}},              every machine in [k3s_control_plane] and [k3s_workers]
     "load_balancers": {NAME: {"address": ADDRESS, "vip": ADDRESS or ""}},
     "targets":        {NAME: {"version": …, "endpoint": …, …}}}  the machines of the play, with their settings
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from fleet.findings import Fault, listed
from fleet.names import cluster_of, is_control_plane, is_member, load_balancers_of


class Member(NamedTuple):
    name: str
    address: str
    control_plane: bool
    settings: Mapping[str, Any] | None  # None: the play is not for it

    @property
    def number(self) -> tuple[bool, int]:
        """Control planes before workers, and each by its number."""
        return not self.control_plane, int(re.search(r"\d+$", self.name)[0])


class Cluster(NamedTuple):
    name: str
    members: tuple[Member, ...]  # control planes first, by their numbers
    endpoint: str  # the address of the API for everybody
    mode: str  # what stands there

    @property
    def control_planes(self) -> tuple[Member, ...]:
        return tuple(one for one in self.members if one.control_plane)

    @property
    def targets(self) -> tuple[Member, ...]:
        return tuple(one for one in self.members if one.settings is not None)

    @property
    def names(self) -> list[str]:
        """The names and addresses that the API's certificate must have, in order."""
        planes = self.control_planes
        return list(dict.fromkeys([self.endpoint, *(p.address for p in planes), *(p.name for p in planes)]))


def clusters(given: Mapping[str, Any]) -> list[Cluster]:
    """The clusters of the targets. Raises Fault for a target that is not a member of one."""
    hosts, targets, balancers = given["hosts"], given["targets"], given.get("load_balancers") or {}
    if strangers := [name for name in targets if not is_member(name) or name not in hosts]:
        raise Fault(
            f"{listed(strangers)}: not a member of a K3s cluster; members are called k8s-NAME-cp01 and k8s-NAME-w01,"
            " and are in the inventory's groups [k3s_control_plane] and [k3s_workers]"
        )
    return [
        _cluster(name, hosts, targets, balancers) for name in sorted({cluster_of(name) for name in targets})
    ]


def _cluster(name: str, hosts: Mapping, targets: Mapping, balancers: Mapping) -> Cluster:
    members = [
        Member(host, str(found["address"]), is_control_plane(host), targets.get(host))
        for host, found in hosts.items()
        if cluster_of(host) == name and is_member(host)
    ]
    members.sort(key=lambda one: one.number)
    own = {host: balancers[host] for host in load_balancers_of(name, balancers)}
    settings = next(one.settings for one in members if one.settings is not None)
    mode = settings.get("endpoint_mode") or ("haproxy" if own else "none")
    endpoint = settings.get("endpoint") or _endpoint(own if mode == "haproxy" else {}, members)
    return Cluster(name, tuple(members), str(endpoint), str(mode))


def _endpoint(balancers: Mapping[str, Mapping], members: Iterable[Member]) -> str:
    """The load balancers' shared address, the address of the only one, else that of the first control plane."""
    shared = {str(found["vip"]).partition("/")[0] for found in balancers.values() if found.get("vip")}
    if len(shared) == 1:
        return shared.pop()
    if len(balancers) == 1:
        return str(next(iter(balancers.values()))["address"])
    return "" if balancers else next((one.address for one in members if one.control_plane), "")
