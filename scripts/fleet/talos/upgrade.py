"""Raise the version of Talos on one machine, and that of Kubernetes on all: one minor version at a time, never back."""

from fleet.findings import Fault, listed
from fleet.talos import health, node
from fleet.talos.bundle import Bundle
from fleet.talos.cluster import Cluster, Node, Version
from fleet.talos.configure import Outcome
from fleet.talos.node import State
from fleet.talos.talosctl import Talosctl
from fleet.vault.secret import Secret

START = 120  # seconds for a machine to accept an upgrade; it downloads the image first
KUBERNETES = 1800  # seconds for `talosctl upgrade-k8s`, which pulls images on each machine


def upgrade(
    cluster: Cluster, member: Node, bundle: Bundle, talosctl: Talosctl, seconds: float, dry_run: bool = False
) -> Outcome:
    """Have one machine run the cluster's version of Talos, the cluster being well before and after. Raises Fault."""
    seen = node.wait(talosctl, bundle.talosconfig, member, seconds, frozenset({State.MEMBER}))
    if not _is_due(f"Talos on {member.name}", seen.version, cluster.version, "talos_version"):
        return Outcome(False, f"{member.name} runs Talos {seen.version}")
    step = f"{member.name} would be upgraded from Talos {seen.version} to {cluster.version}"
    if not member.control_plane:
        _refuse_before_control_planes(cluster, bundle, talosctl, member)
    if dry_run:
        return Outcome(True, step)
    health.check(cluster, bundle, talosctl, step)
    done = talosctl.ask(
        bundle.talosconfig, member, "upgrade", "--image", cluster.install_image, "--wait=false", timeout=START
    )
    if done.code:
        raise Fault(f"{member.name} refuses the upgrade to {cluster.install_image}: {done.problem}")
    now = node.wait_for_version(talosctl, bundle.talosconfig, member, seconds, cluster.version)
    if now.version != cluster.version:
        state = f"runs Talos {now.version}" if now.version else f"is {now.state.value}"
        raise Fault(
            f"{member.name} {state} {seconds:.0f} s after the upgrade to {cluster.version} began; one that does not"
            f" start goes back to the version before. See `talosctl --nodes {member.address} dmesg`"
        )
    health.wait(cluster, bundle, talosctl, seconds)
    return Outcome(True, f"{member.name} was upgraded from Talos {seen.version} to {now.version}")


def upgrade_kubernetes(
    cluster: Cluster,
    bundle: Bundle,
    running: Version | None,
    talosctl: Talosctl,
    store: Secret,
    dry_run: bool = False,
) -> Outcome:
    """Have the cluster run its version of Kubernetes, by `talosctl upgrade-k8s`. Raises Fault."""
    running = running or bundle.kubernetes
    name = f"Kubernetes of {cluster.name}"
    if not _is_due(name, running, cluster.kubernetes, "talos_kubernetes_version"):
        _record(running, bundle, store, dry_run)
        return Outcome(False, f"{cluster.name} runs Kubernetes {running}")
    step = f"{cluster.name} would be upgraded from Kubernetes {running} to {cluster.kubernetes}"
    if dry_run:
        return Outcome(True, step)
    health.check(cluster, bundle, talosctl, step)
    done = talosctl.ask(
        bundle.talosconfig, cluster.control_planes[0], "upgrade-k8s",
        "--from", str(running)[1:], "--to", str(cluster.kubernetes)[1:], timeout=KUBERNETES,
    )  # fmt: skip
    if done.code:
        raise Fault(
            f"{step}, and talosctl upgrade-k8s failed, which goes on where it stopped when it is run again:"
            f" {done.problem}"
        )
    _record(cluster.kubernetes, bundle, store, dry_run)
    return Outcome(True, f"{cluster.name} was upgraded from Kubernetes {running} to {cluster.kubernetes}")


def _is_due(what: str, runs: Version | None, wanted: Version, variable: str) -> bool:
    """Whether there is an upgrade to do. Raises Fault for one that goes back or leaves a minor version out."""
    if runs is None or runs == wanted:
        return False
    if runs > wanted:
        raise Fault(
            f"{what} is {runs}, newer than {variable} {wanted}, and is never made older; raise {variable}"
        )
    if (wanted.major, wanted.minor) > (runs.major, runs.minor + 1):
        message = f"{what} is {runs}; an upgrade goes one minor version at a time"
        raise Fault(f"{message}: set {variable} to the newest v{runs.major}.{runs.minor + 1} first")
    return True


def _refuse_before_control_planes(cluster: Cluster, bundle: Bundle, talosctl: Talosctl, member: Node) -> None:
    older = [
        one.name
        for one in cluster.control_planes
        if (runs := node.look(talosctl, bundle.talosconfig, one).version) and runs < cluster.version
    ]
    if older:
        message = f"{listed(older)} of the control plane runs an older Talos than {cluster.version}"
        raise Fault(f"{message}; upgrade it before the worker {member.name}")


def _record(runs: Version, bundle: Bundle, store: Secret, dry_run: bool) -> None:
    """Note which version the machines have, for the time when the API does not answer."""
    if runs != bundle.kubernetes and not dry_run:
        store.change(lambda data: data | {"kubernetes_version": str(runs)})
