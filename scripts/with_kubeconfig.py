#!/usr/bin/env python3
"""Run a command on one cluster, with the context that Vault's kubeconfig has of it, and nothing else of that.

Reads: the secret kv/cluster-secret-store/secrets/KUBECONFIG. Writes: nothing; while the command runs, it reads its
kubeconfig from this process's memory, under the name that KUBECONFIG, KUBE_CONFIG_PATH and KUBE_CTX give it.
The cluster is asked first: it must be ready, be the one for which the context was stored, and let its secrets be
listed, where helm keeps its releases. Otherwise the command is not started. The command is no shell's; signals are
passed on. A proxy of the environment is not for the cluster, unless the context has a proxy-url.
Environment or `.env`: VAULT_TOKEN, VAULT_ADDR (also VAULT_CACERT, VAULT_NAMESPACE).
Exit codes: those of the command (128+N where signal N ended it); 125 where it was not started, 2 for wrong usage.
"""

import argparse
import os
import sys

from fleet import cli, dotenv
from fleet.clusters.vault import Store
from fleet.contexts import attached, guard
from fleet.contexts.handover import handed_over
from fleet.findings import Fault, guarded

NOT_STARTED = (
    125  # as of env and timeout: by 2, `terraform plan -detailed-exitcode` says that there are changes
)
EXAMPLES = """examples:
  with_kubeconfig.py k8s-dev -- kubectl get pods -A
  with_kubeconfig.py k8s-dev -- helm list -A
  with_kubeconfig.py k8s-dev -- sh -c 'kubectl get nodes -o name | wc -l'
"""


def parser() -> argparse.ArgumentParser:
    options = cli.parser(__doc__, EXAMPLES)
    options.usage = "with_kubeconfig.py [-h] CONTEXT -- COMMAND [ARGUMENT ...]"
    options.add_argument(
        "context", metavar="CONTEXT", help="a context of Vault's kubeconfig, such as k8s-dev"
    )
    return options


@guarded
def main(argv: list[str] | None = None) -> int:
    words = sys.argv[1:] if argv is None else argv
    # By hand: argparse would take a later -- away too, as that of `kubectl exec POD -- ls`.
    end = words.index("--") if "--" in words else len(words)
    command, options = words[end + 1 :], parser().parse_args(words[:end])
    if not command:
        parser().error("give the command after --")
    environment = dict(os.environ)  # as it was given: what `.env` has is not the command's
    dotenv.load()
    try:
        kubeconfig, _ = guard.checked(Store(), options.context)
        with handed_over(kubeconfig) as settings:
            return attached.run(command, environment | settings)
    except Fault as fault:
        fault.code = NOT_STARTED
        raise


if __name__ == "__main__":
    raise SystemExit(main())
