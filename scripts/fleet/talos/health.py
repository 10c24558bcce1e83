"""Whether the cluster is well, as `talosctl health` sees it: etcd, Kubernetes' parts, and each member that answers."""

import time
from collections.abc import Iterable

from fleet.findings import Fault
from fleet.talos import node
from fleet.talos.bundle import Bundle
from fleet.talos.cluster import Cluster, Node
from fleet.talos.node import Member, State
from fleet.talos.talosctl import Talosctl

ONCE = 20  # seconds that talosctl itself looks again before it says what is wrong
PAUSE = 5


def members_of(cluster: Cluster, bundle: Bundle, talosctl: Talosctl) -> tuple[Member, ...]:
    """etcd's members, asked of one control plane after the other; () when none of them has an etcd."""
    for one in cluster.control_planes:
        if found := node.etcd_members(talosctl, bundle.talosconfig, one):
            return found
    return ()


def etcd_of(planes: Iterable[Node], config: str, talosctl: Talosctl) -> tuple[Member, ...]:
    """etcd's members as the first of these control planes tells them that has an etcd. Raises Fault."""
    problems = []
    for one in planes:
        if found := node.etcd_members(talosctl, config, one):
            return found
        seen = node.look(talosctl, config, one)
        what = "a member without an etcd that answers" if seen.state is State.MEMBER else seen.state.value
        problems.append(
            f"{one.name} ({one.address}) is {what}" + (f": {seen.problem}" if seen.problem else "")
        )
    said = "; ".join(problems) or "the inventory has no address of any"
    raise Fault(f"no control plane tells etcd's members: {said}", code=2)


def remove_from_etcd(member: str, planes: Iterable[Node], config: str, talosctl: Talosctl) -> None:
    """Have the first of these control planes that can take a member, by its ID, out of etcd. Raises Fault."""
    problem = "no control plane can be asked"
    for one in planes:
        done = talosctl.ask(config, one, "etcd", "remove-member", member)
        if done.code == 0 or "NotFound" in done.err:
            return
        problem = f"{one.name}: {done.problem}"
    raise Fault(f"member {member} cannot be removed from etcd: {problem}")


def problem(cluster: Cluster, bundle: Bundle, talosctl: Talosctl, also: str = "") -> str:
    """What is wrong with the cluster now; "" when it is well.

    Members that do not answer are left out, since nobody may have asked for them yet; the machine `also` never is.
    """
    seen = {one: node.look(talosctl, bundle.talosconfig, one) for one in cluster.nodes}
    here = [one for one, what in seen.items() if what.state is State.MEMBER or one.name == also]
    asked = next((one for one in here if one.control_plane and seen[one].state is State.MEMBER), None)
    if asked is None:
        return "no control plane answers"
    done = talosctl.ask(
        bundle.talosconfig, asked, "health", "--wait-timeout", f"{ONCE}s",
        "--control-plane-nodes", _addresses(here, control_plane=True),
        "--worker-nodes", _addresses(here, control_plane=False),
        timeout=3 * ONCE,
    )  # fmt: skip
    return done.problem if done.code else ""


def check(cluster: Cluster, bundle: Bundle, talosctl: Talosctl, before: str) -> None:
    """Raise Fault unless the cluster is well. `before`: what would be done to it."""
    if wrong := problem(cluster, bundle, talosctl):
        raise Fault(f"{before}, but {cluster.name} is not well, so nothing was done: {wrong}")


def wait(cluster: Cluster, bundle: Bundle, talosctl: Talosctl, seconds: float) -> None:
    """Wait until the cluster is well, at most `seconds`. Raises Fault."""
    end = time.monotonic() + seconds
    while wrong := problem(cluster, bundle, talosctl):
        if time.monotonic() > end:
            raise Fault(f"{cluster.name} is not well after {seconds:.0f} s: {wrong}")
        time.sleep(PAUSE)


def _addresses(nodes: list[Node], control_plane: bool) -> str:
    return ",".join(one.address for one in nodes if one.control_plane is control_plane)
