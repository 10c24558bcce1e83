"""The cluster's kubeconfig in Vault: kept while it is good, and made again by the machines where it is not.

`talosctl kubeconfig` makes a new certificate at each call, so that it is called only where a new one is needed.
"""

import datetime
from typing import Any

import yaml

from fleet.clusters import contents, current, from_machine, kubeconfig, ready, shared_kubeconfig
from fleet.clusters.vault import Store
from fleet.findings import Fault, printable
from fleet.talos import node
from fleet.talos.bootstrap import NotYet
from fleet.talos.bundle import RENEW, Bundle
from fleet.talos.cluster import Cluster, Version, version
from fleet.talos.configure import Outcome
from fleet.talos.node import State
from fleet.talos.talosctl import Talosctl

READY = 20  # seconds for the API to answer to new credentials


def stored(store: Store, cluster: str) -> dict[str, Any] | None:
    """The kubeconfig of that cluster alone, as Vault has it; None where it has no such context."""
    return _of(shared_kubeconfig.read(store), cluster)


def _of(data: dict[str, Any], cluster: str) -> dict[str, Any] | None:
    if not contents.has_context(data, cluster):
        return None
    context, entry, user = contents.chosen(contents.with_context(data, cluster), cluster)
    return {"contexts": [context], "clusters": [entry], "users": [user]}


def running_version(known: dict[str, Any] | None, cluster: Cluster) -> Version | None:
    """The version of Kubernetes that the API tells; None where it is not known or does not answer."""
    asked = ready.question(yaml.safe_dump(known), cluster.endpoint) if known else None
    told = ready.version(asked) if asked else None
    return version(told, f"the version that the API of {cluster.name} tells") if told else None


def publish(
    cluster: Cluster, bundle: Bundle, talosctl: Talosctl, store: Store, dry_run: bool = False
) -> Outcome:
    """Put the cluster's kubeconfig into Vault where the one there is not good. Raises Fault, NotYet."""
    known = stored(store, cluster.name)
    why = _outdated(known, cluster, bundle)
    if not why:
        return _recorded(cluster, store, known, dry_run)
    if dry_run:
        return Outcome(True, f"context {cluster.name} would be written to Vault: {why}")
    raw = _fetch(cluster, bundle, talosctl)
    new = from_machine.parsed(raw, "the machine's kubeconfig", cluster.name, cluster.endpoint, own=True)
    for context in new.get("contexts") or []:
        (context.get("context") or {}).pop("namespace", None)  # which Talos sets to that of its absence
    from_machine.check(new, cluster.name, cluster.endpoint)
    if _entry(new, "clusters").get("certificate-authority-data") != bundle.kubernetes_authority:
        raise Fault(f"the kubeconfig of {cluster.name} has another authority than the secrets in Vault")
    asked = ready.question(raw.decode(), cluster.endpoint)
    if not asked:
        raise Fault(f"the kubeconfig of {cluster.name} cannot be used")
    if problem := ready.wait_at_most(asked, READY):
        raise NotYet(f"{asked.url} {problem}")

    uid = _uid(new, cluster)

    def edit(data: dict[str, Any]) -> kubeconfig.Edit:
        made = kubeconfig.Edit(data, None, [])  # another member of the same run was faster
        if _outdated(_of(data, cluster.name), cluster, bundle):
            made = kubeconfig.merge(data, new, cluster.name, cluster.endpoint)
        return current.identified(made, data, cluster.name, uid)

    result = shared_kubeconfig.update(store, edit, cluster.name)
    notes = "".join(f"\n{printable(note)}" for note in result.notes)
    return Outcome(result.changed, f"context {cluster.name} is in Vault: {why}{notes}")


def _recorded(cluster: Cluster, store: Store, known: dict[str, Any], dry_run: bool) -> Outcome:
    """Keep the cluster's identity beside a kubeconfig that is good: one made again of the same secrets has another."""
    good, uid = f"context {cluster.name} in Vault is good", _uid(known, cluster)
    if uid is None or uid == current.recorded(known, cluster.name):
        return Outcome(False, good)

    def edit(data: dict[str, Any]) -> kubeconfig.Edit:
        return current.identified(kubeconfig.Edit(data, None, []), data, cluster.name, uid)

    result = shared_kubeconfig.update(store, edit, cluster.name, dry_run)
    notes = "".join(f"\n{printable(note)}" for note in result.notes)
    return Outcome(result.changed, f"{good}, with the uid of the cluster that answers{notes}")


def _uid(known: dict[str, Any], cluster: Cluster) -> str | None:
    return ready.uid(_entry(known, "clusters"), _entry(known, "users"), cluster.endpoint)


def _outdated(known: dict[str, Any] | None, cluster: Cluster, bundle: Bundle) -> str:
    """Why the kubeconfig in Vault has to be made again; "" while it is good."""
    if known is None:
        return "there was none"
    if _entry(known, "clusters").get("server") != cluster.url:
        return f"the API is now at {cluster.url}"
    if _entry(known, "clusters").get("certificate-authority-data") != bundle.kubernetes_authority:
        return "it was that of another cluster"
    days = _days_left(_entry(known, "users").get("client-certificate-data"))
    return f"its certificate is good for {days} days" if days < RENEW else ""


def _days_left(certificate: Any) -> int:
    from cryptography import x509

    try:
        end = x509.load_pem_x509_certificate(contents.decode(certificate)).not_valid_after_utc
    except (ValueError, TypeError):
        return 0
    return (end - datetime.datetime.now(datetime.UTC)).days


def _entry(config: dict[str, Any], part: str) -> dict[str, Any]:
    return config[part][0][contents.PARTS[part]]


def _fetch(cluster: Cluster, bundle: Bundle, talosctl: Talosctl) -> bytes:
    problem = "no control plane answers"
    for one in cluster.control_planes:
        if node.look(talosctl, bundle.talosconfig, one).state is State.MEMBER:
            done = talosctl.ask(bundle.talosconfig, one, "kubeconfig", "-", "--merge=false")
            if done.code == 0 and done.out:
                return done.out.encode()[: from_machine.MAX_BYTES]
            problem = f"{one.name} gives no kubeconfig yet: {done.problem}"
    raise NotYet(problem)
