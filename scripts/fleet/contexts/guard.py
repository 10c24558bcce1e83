"""Before anything is done to a cluster: is it there, is it the one that is meant, and may its releases be read?

Terraform's helm provider takes every error while it reads a release for "the release is gone": where the API is away,
the context leads elsewhere, or the credentials are refused, a plan makes everything again, and a destroy forgets what
still runs, both with success. So nothing is started until these questions have their answers.
"""

from typing import Any

from fleet.clusters import current, shared_kubeconfig
from fleet.clusters.vault import Store
from fleet.contexts.api import Cluster
from fleet.contexts.single import single
from fleet.deadline import at_most
from fleet.findings import Fault, Finding, report

SECONDS = 60  # for all questions together


def checked(store: Store, context: str) -> tuple[dict[str, Any], Cluster]:
    """The kubeconfig of that context alone, and its cluster, which answers as the one that it was.

    Raises Fault: 1 where the context is refused, 2 where Vault or the API is out of reach. A cluster whose identity is
    not recorded is warned of.
    """
    kubeconfig = single(shared_kubeconfig.read(store), context)
    try:
        with at_most(SECONDS):
            cluster = Cluster(kubeconfig)
            cluster.ready()
            _the_one(cluster, current.recorded(kubeconfig, context))
            if not cluster.may("list", "secrets"):
                raise Fault(
                    f"the credentials of context {cluster.context} may not list the secrets of all namespaces, in which"
                    " helm keeps its releases, and without which every release would count as gone; store those of an"
                    " administrator with update_kubeconfig.py"
                )
    except TimeoutError:
        raise Fault(
            f"the API of context {context} did not end its answers within {SECONDS} seconds; check its machines, and"
            " what is between them and here",
            code=2,
        ) from None
    return kubeconfig, cluster


def _the_one(cluster: Cluster, recorded: str | None) -> None:
    found = cluster.uid()
    again = f"run its playbook again ([ansible {cluster.context}]), which records the cluster that answers"
    if recorded is None:
        said = (
            f"context {cluster.context} does not say which cluster it is for, so that another one at its address would"
            f" not be noticed; {again}"
        )
        report([Finding(said, level="warning")])
    elif found != recorded:
        raise Fault(
            f"context {cluster.context} leads to another cluster than the one it was stored for: kube-system there is"
            f" {found}, not {recorded}; if the cluster was made again, {again}; else correct the server in Vault's"
            " kubeconfig"
        )
