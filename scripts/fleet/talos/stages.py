"""The stages of talos_cluster.py, each a function of the cluster and of the machine that it is seen from."""

from collections.abc import Callable
from typing import NamedTuple

from fleet.clusters.vault import Store
from fleet.contexts import keys
from fleet.findings import Fault
from fleet.talos import access, bootstrap, configure, health, upgrade
from fleet.talos import bundle as secrets
from fleet.talos.bootstrap import NotYet
from fleet.talos.bundle import Bundle
from fleet.talos.cluster import Cluster, Node, Version
from fleet.talos.configure import Outcome
from fleet.talos.talosctl import Talosctl
from fleet.vault.login import Login
from fleet.vault.rights import NO_RIGHTS
from fleet.vault.secret import Secret


class Run(NamedTuple):
    cluster: Cluster
    member: Node
    talosctl: Talosctl
    secret: Secret  # the cluster's own
    kubeconfig: Store  # that of all clusters
    login: Login  # of the cluster's workloads
    seconds: float  # for each start of a machine
    dry_run: bool

    def bundle(self) -> Bundle:
        """The cluster's secrets; in a dry run before the first run, some that are forgotten again."""
        if found := secrets.read(self.secret.read().data, self.secret.place):
            return found
        if self.dry_run:
            return secrets.ensure(self.cluster, self.talosctl, self.secret, known=False, dry_run=True).bundle
        raise Fault(f"{self.secret.place} has no secrets of {self.cluster.name}; run the stage secrets first")

    def running(self) -> Version | None:
        """The version of Kubernetes that the cluster runs, where its API answers."""
        return access.running_version(access.stored(self.kubeconfig, self.cluster.name), self.cluster)

    def machine(self) -> tuple[Cluster, Node, Bundle, Version, Talosctl, float, bool]:
        """What a machine is configured with: a running Kubernetes is upgraded in a stage of its own, not by this."""
        bundle = self.bundle()
        kubernetes = self.running() or bundle.kubernetes
        return self.cluster, self.member, bundle, kubernetes, self.talosctl, self.seconds, self.dry_run


def _check(run: Run) -> Outcome:
    return Outcome(
        False, f"{run.cluster.name} with {len(run.cluster.nodes)} machines, API at {run.cluster.url}"
    )


def _secrets(run: Run) -> Outcome:
    known = access.stored(run.kubeconfig, run.cluster.name) is not None
    made = secrets.ensure(run.cluster, run.talosctl, run.secret, known, run.dry_run)
    what = f"{', '.join(made.changed)} written" if made.changed else "nothing new"
    return Outcome(bool(made.changed), f"{run.secret.place}: {what}")


def _install(run: Run) -> Outcome:
    return configure.install(*run.machine())


def _configure(run: Run) -> Outcome:
    return configure.configure(*run.machine())


def _bootstrap(run: Run) -> Outcome:
    known = access.stored(run.kubeconfig, run.cluster.name) is not None
    return bootstrap.bootstrap(run.cluster, run.member, run.bundle(), run.talosctl, known, run.dry_run)


def _kubeconfig(run: Run) -> Outcome:
    return access.publish(run.cluster, run.bundle(), run.talosctl, run.kubeconfig, run.dry_run)


def _register(run: Run) -> Outcome:
    """Without the rights on logins it only says so: who has no workloads needs none."""
    known = access.stored(run.kubeconfig, run.cluster.name)
    if known is None:
        return Outcome(False, f"Vault has no kubeconfig of {run.cluster.name} yet")
    try:
        changed = run.login.register(keys.published(known, run.cluster.name), run.dry_run)
    except Fault as fault:
        if fault.code != NO_RIGHTS:
            raise
        return Outcome(False, f"{run.cluster.name} is not registered at Vault. {fault}")
    return Outcome(bool(changed), f"{run.login.place}: {', '.join(changed) or 'nothing new'}")


def _renew(run: Run) -> Outcome:
    """The certificates of administrators, and the workloads' login, of a cluster that stands: nothing else is made."""
    if access.stored(run.kubeconfig, run.cluster.name) is None:
        return Outcome(False, f"Vault has no kubeconfig of {run.cluster.name} yet")
    made = [_secrets(run), _kubeconfig(run)]
    try:
        made.append(_register(run))
    except Fault as fault:
        if fault.code != 2:  # a cluster that is switched off has changed no keys
            raise
        made.append(Outcome(False, f"the keys of {run.cluster.name} were not read: {fault}"))
    return Outcome(any(one.changed for one in made), "; ".join(one.message for one in made))


def _health(run: Run) -> Outcome:
    bundle = run.bundle()
    if run.dry_run and not health.members_of(run.cluster, bundle, run.talosctl):
        return Outcome(False, f"{run.cluster.name} is not started yet")
    if problem := health.problem(run.cluster, bundle, run.talosctl, also=run.member.name):
        raise NotYet(f"{run.cluster.name} is not well: {problem}")
    return Outcome(False, f"{run.cluster.name} is well, with {run.member.name}")


def _upgrade(run: Run) -> Outcome:
    bundle = run.bundle()
    if run.dry_run and not health.members_of(run.cluster, bundle, run.talosctl):
        return Outcome(False, f"{run.cluster.name} is not started yet")
    return upgrade.upgrade(run.cluster, run.member, bundle, run.talosctl, run.seconds, run.dry_run)


def _upgrade_kubernetes(run: Run) -> Outcome:
    bundle = run.bundle()
    return upgrade.upgrade_kubernetes(
        run.cluster, bundle, run.running(), run.talosctl, run.secret, run.dry_run
    )


STAGES: dict[str, Callable[[Run], Outcome]] = {
    "check": _check,
    "secrets": _secrets,
    "install": _install,
    "configure": _configure,
    "bootstrap": _bootstrap,
    "kubeconfig": _kubeconfig,
    "health": _health,
    "register": _register,
    "upgrade": _upgrade,
    "upgrade-kubernetes": _upgrade_kubernetes,
    "renew": _renew,
}
