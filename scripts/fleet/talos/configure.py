"""The machine configuration of one member: made and checked by talosctl, sent to a new machine, or where it differs."""

import json
from typing import NamedTuple

from fleet.findings import Fault
from fleet.talos import difference, health, node
from fleet.talos.bundle import Bundle
from fleet.talos.cluster import Cluster, Node, Version
from fleet.talos.node import State
from fleet.talos.talosctl import Talosctl, Text

KNOWN = frozenset({State.MAINTENANCE, State.MEMBER})
APPLY = 60  # seconds for one configuration to be taken
ALIAS = "net0"  # of the card that carries the shared address


class Outcome(NamedTuple):
    changed: bool
    message: str


def make_config(cluster: Cluster, node: Node, bundle: Bundle, kubernetes: Version, talosctl: Talosctl) -> str:
    """The configuration with the Kubernetes version that the cluster runs, or is to begin with. Raises Fault."""
    patches = [*_own(cluster, node), *cluster.patches]
    patches += cluster.control_plane_patches if node.control_plane else cluster.worker_patches
    try:
        text = talosctl.make(
            "gen", "config", cluster.name, cluster.url, "--with-secrets", Text(bundle.secrets),
            "--output-types", "controlplane" if node.control_plane else "worker", "--output", "-",
            "--with-docs=false", "--with-examples=false",
            "--talos-version", bundle.contract, "--kubernetes-version", str(kubernetes),
            "--install-disk", cluster.install_disk, "--install-image", cluster.install_image,
            *(word for patch in patches for word in ("--config-patch", Text(patch, "@"))),
        )  # fmt: skip
        talosctl.make("validate", "--mode", "metal", "--config", Text(text))
    except Fault as fault:
        raise Fault(f"{node.name}: {fault}; see talos_patches and the other variables of the role") from None
    return text


def _own(cluster: Cluster, node: Node) -> list[str]:
    # Without `auto: off` the name of the cloud-init drive, or one made of the machine's ID, would compete with it.
    patches = [{"apiVersion": "v1alpha1", "kind": "HostnameConfig", "auto": "off", "hostname": node.name}]
    if cluster.vip and node.control_plane:
        link = cluster.vip_link or ALIAS
        if not cluster.vip_link:
            match = {"match": 'link.driver == "virtio_net"'}
            patches.append(
                {"apiVersion": "v1alpha1", "kind": "LinkAliasConfig", "name": ALIAS, "selector": match}
            )
        patches.append(
            {"apiVersion": "v1alpha1", "kind": "Layer2VIPConfig", "name": cluster.vip, "link": link}
        )
    return [json.dumps(patch) for patch in patches]


def install(
    cluster: Cluster,
    member: Node,
    bundle: Bundle,
    kubernetes: Version,
    talosctl: Talosctl,
    seconds: float,
    dry_run: bool = False,
) -> Outcome:
    """Give a new machine its first configuration and wait until it answers as a member. Raises Fault.

    A worker answers only after a control plane does, which gives it its own certificate.
    """
    text = make_config(cluster, member, bundle, kubernetes, talosctl)
    seen = node.wait(talosctl, bundle.talosconfig, member, seconds, KNOWN)
    if seen.state is State.MEMBER:
        return Outcome(False, f"{member.name} is a member of {cluster.name}")
    if dry_run:
        return Outcome(True, f"{member.name} has no configuration yet and would get one")
    done = talosctl.ask_insecure(member, "apply-config", "--file", Text(text), timeout=APPLY)
    if done.code:
        raise Fault(f"{member.name} refuses its first configuration: {done.problem}")
    node.wait(talosctl, bundle.talosconfig, member, seconds, frozenset({State.MEMBER}))
    return Outcome(True, f"{member.name} has its first configuration")


def configure(
    cluster: Cluster,
    member: Node,
    bundle: Bundle,
    kubernetes: Version,
    talosctl: Talosctl,
    seconds: float,
    dry_run: bool = False,
) -> Outcome:
    """Bring a member's configuration to what it is to be, waiting at most `seconds` for a restart. Raises Fault."""
    text = make_config(cluster, member, bundle, kubernetes, talosctl)
    if node.wait(talosctl, bundle.talosconfig, member, seconds, KNOWN).state is State.MAINTENANCE:
        if dry_run:
            return Outcome(False, f"{member.name} has no configuration to compare yet")
        raise Fault(f"{member.name} lost its configuration a moment ago; see who resets it")
    file = ("apply-config", "--file", Text(text))
    tried = talosctl.ask(bundle.talosconfig, member, *file, "--dry-run", timeout=APPLY)
    if tried.code:
        raise Fault(f"{member.name} refuses its configuration: {tried.problem}")
    said = tried.err + tried.out
    if difference.is_unchanged(said):
        return Outcome(False, f"{member.name} has its configuration")
    _refuse_another_machine(cluster, member, said)
    what = "\n".join([f"{member.name}: its configuration differs:", *difference.lines(said)])
    if dry_run:
        return Outcome(True, what)
    restarts = difference.restarts(said)
    stands = restarts and member.control_plane and bool(health.members_of(cluster, bundle, talosctl))
    if stands:
        health.check(cluster, bundle, talosctl, f"{member.name} would start again for its new configuration")
    done = talosctl.ask(bundle.talosconfig, member, *file, timeout=APPLY)
    if done.code:
        raise Fault(f"{member.name} did not take its configuration: {done.problem}")
    if restarts:
        node.wait_for_restart(talosctl, bundle.talosconfig, member, seconds)
    if stands:
        health.wait(cluster, bundle, talosctl, seconds)
    return Outcome(True, what)


def _refuse_another_machine(cluster: Cluster, member: Node, said: str) -> None:
    """Raise Fault where the address leads to another member: a configuration of its own would not be lost on it."""
    other = difference.renamed(said)
    if other in {one.name for one in cluster.nodes} - {member.name}:
        message = f"{member.address} is {other}, not {member.name}; correct the address in the inventory"
        raise Fault(f"{message}. Nothing was sent")
    if difference.changes_role(said):
        raise Fault(
            f"{member.name} would change between control plane and worker, which Talos cannot do; give it a new name"
            f" or create it anew. Nothing was sent"
        )
