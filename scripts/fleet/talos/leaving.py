"""Which control planes may not be destroyed: those that etcd still counts, and without which it would lose its quorum.

Talos takes nobody out of etcd whose machine is only gone, so that the second one destroyed of three ends the cluster.
"""

from collections.abc import Collection, Mapping

from fleet.findings import Fault, Finding, listed, report
from fleet.names import cluster_of, is_control_plane, is_talos
from fleet.talos import bundle, node
from fleet.talos.cluster import Node
from fleet.talos.node import Member
from fleet.talos.talosctl import Talosctl, located

Addresses = Mapping[str, str]  # of the machines in the inventory that there are


def cannot_leave(
    approved: Collection[str], have: Collection[str], files: Collection[str], addresses: Addresses
) -> dict[str, str]:
    """The control planes whose removal is approved and that are still in etcd, each with the reason.

    `have`: those of Terraform's state; `files`: those of the VM files.
    """
    going = set(approved).intersection(have).difference(files)
    return _counted(going, set(files).union(have, addresses) - going, addresses)


def check_replaced(replaced: Collection[str], wanted: Collection[str], addresses: Addresses) -> None:
    """Raise Fault where a control plane would be made again that is still in etcd. `wanted`: what is there then."""
    if reasons := _counted(set(replaced), set(wanted) - set(replaced), addresses):
        report(Finding(f"refused: would destroy and recreate {name}: {why}") for name, why in reasons.items())
        raise Fault("a control plane is recreated only after it has left etcd; nothing was applied")


def _counted(going: set[str], staying: set[str], addresses: Addresses) -> dict[str, str]:
    """Those of `going` that are still in the etcd of a cluster that goes on, each with the reason."""
    reasons: dict[str, str] = {}
    clusters: dict[str, list[str]] = {}
    for name in sorted(filter(_is_plane, going)):
        clusters.setdefault(cluster_of(name) or "", []).append(name)
    for cluster, names in clusters.items():
        left = sorted(name for name in staying if _is_plane(name) and cluster_of(name) == cluster)
        if not left:
            continue  # it ends with them
        try:
            members = {one.name: one for one in _members(cluster, [*left, *names], addresses)}
        except Fault as fault:
            reasons |= dict.fromkeys(names, f"it cannot leave {cluster}: {fault}")
            continue
        for name in filter(members.get, names):
            other, own = addresses.get(left[0], left[0]), addresses.get(name, name)
            reasons[name] = (
                f"it is still a member of etcd of {cluster}, which would count it as failed. With the talosconfig in"
                f" Vault, run `talosctl --nodes {own} reset`, or, where it does not answer any more, `talosctl --nodes"
                f" {other} etcd remove-member {members[name].id}`; then push again"
            )
    return reasons


def _members(cluster: str, planes: list[str], addresses: Addresses) -> tuple[Member, ...]:
    """etcd's members; () where Vault knows no such cluster, so that none was ever made. Raises Fault."""
    store = bundle.secret(cluster)
    found = bundle.read(store.read().data, store.place)
    if found is None:
        return ()
    talosctl = Talosctl(located("install it as /usr/local/bin/talosctl, or name another place in TALOSCTL"))
    for name in planes:
        one = Node(name, addresses.get(name, name), True)
        if one.address != name and (members := node.etcd_members(talosctl, found.talosconfig, one)):
            return members
    raise Fault(f"none of its control planes ({listed(planes)}) tells who is in etcd; bring one up", code=2)


def _is_plane(name: str) -> bool:
    return is_talos(name) and is_control_plane(name)
