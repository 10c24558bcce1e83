"""Start etcd, once in a cluster's life: a second start would make a second cluster of the same name."""

from fleet.findings import listed
from fleet.talos import node
from fleet.talos.bundle import Bundle
from fleet.talos.cluster import Cluster, Node
from fleet.talos.configure import Outcome
from fleet.talos.node import State
from fleet.talos.talosctl import Talosctl


class NotYet(Exception):
    """What has to happen first; ask again later."""


def bootstrap(
    cluster: Cluster, member: Node, bundle: Bundle, talosctl: Talosctl, known: bool, dry_run: bool = False
) -> Outcome:
    """Have the lowest control plane start etcd where no control plane has one. Raises NotYet.

    Seen from any other `member` it is only waited for, so that of several at once one alone starts it. `known`: Vault
    has the cluster's kubeconfig, so it was started before, and what etcd held is not to be forgotten. A machine that
    runs an etcd tells the same, whatever Vault has, and is never left behind, forced or not.
    """
    for one in cluster.control_planes:
        if members := node.etcd_members(talosctl, bundle.talosconfig, one):
            return Outcome(False, f"etcd runs, with {listed(member.name or member.id for member in members)}")
    first = cluster.control_planes[0]
    if started := [
        one.name for one in cluster.control_planes if node.runs_etcd(talosctl, bundle.talosconfig, one)
    ]:
        raise NotYet(
            f"etcd of {cluster.name} was started before, on {listed(started)}, and does not answer: it is starting, or"
            " has lost its quorum. Bring its other members back; to give its data up, reset the machine first"
        )
    if known and not cluster.force_bootstrap:
        raise NotYet(
            f"{cluster.name} was started before, since Vault has its kubeconfig, and no control plane has an etcd. Wait"
            " until one that has its data answers. If all of it is lost, restore a snapshot:"
            f" `talosctl --nodes {first.address} bootstrap --recover-from=db.snapshot`, with the talosconfig of"
            f" {cluster.name} in Vault; or start empty with talos_force_bootstrap=true"
        )
    unknown = [
        one.name
        for one in cluster.control_planes
        if node.look(talosctl, bundle.talosconfig, one).state not in (State.MEMBER, State.MAINTENANCE)
    ]
    if unknown and not cluster.force_bootstrap:
        raise NotYet(
            f"{listed(unknown)} does not answer and may have an etcd with data, so {cluster.name} is not started a"
            " second time; bring it up, or take it out of the inventory"
        )
    if dry_run:
        return Outcome(member == first, f"{first.name} would start etcd")
    if member != first:
        raise NotYet(f"no control plane has an etcd yet; {first.name} starts it when the playbook runs on it")
    done = talosctl.ask(bundle.talosconfig, first, "bootstrap")
    if done.code == 0:
        return Outcome(True, f"{first.name} starts etcd")
    if "AlreadyExists" in done.err:
        return Outcome(False, f"{first.name} has started etcd, which does not answer yet")
    raise NotYet(f"{first.name} cannot start etcd yet: {done.problem}")
