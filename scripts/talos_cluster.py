#!/usr/bin/env python3
"""One stage of bringing a Talos cluster to what the role talos asks for, seen from one of its machines.

Reads from standard input the token for Vault, on the first line, and then the role's variables as JSON. Talks to the
machines with talosctl, whose version must be that of Talos. Writes to the machines, and to Vault:
kv/cluster-bootstrap/<cluster>, the cluster's context in the kubeconfig, and its workloads' login. No secret is printed,
put into an argument, or written to a disk. The stages, in order: check (asks nobody), secrets, install, configure,
bootstrap, kubeconfig, health, register, upgrade, upgrade-kubernetes; each can be run again, and does nothing where
nothing is to do. The stage renew is secrets, kubeconfig and register alone, for a cluster that stands.
Exit codes: 0 changed or unchanged (it says which), 1 refused, 2 wrong usage or a service out of reach,
75 not possible yet, ask again.
"""

import sys

from fleet import cli, dotenv
from fleet.clusters.vault import Store
from fleet.findings import Finding, guarded, report
from fleet.steps import cluster as given
from fleet.talos import bundle, settings, stages, talosctl
from fleet.talos.bootstrap import NotYet
from fleet.vault.login import Login

NOT_YET = 75  # EX_TEMPFAIL
EXAMPLES = """examples:
  talos_cluster.py health talos-prod-cp01 --timeout 300 < token-and-variables
"""


@guarded
def main(argv: list[str] | None = None) -> int:
    parser = cli.parser(__doc__, EXAMPLES)
    parser.add_argument("stage", choices=stages.STAGES)
    parser.add_argument("machine", help="a member of the cluster, as the inventory calls it")
    parser.add_argument("--vault-addr", metavar="URL", help="default: VAULT_ADDR")
    parser.add_argument(
        "--timeout", type=float, default=600, help="seconds for each start (default: %(default)s)"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would change, write nothing")
    options = parser.parse_args(argv)
    dotenv.load()
    token = given.read_token("-")
    cluster = settings.parse(sys.stdin.read(), options.machine)
    run = stages.Run(
        cluster,
        cluster.node(options.machine),
        talosctl.find(cluster.version),
        bundle.secret(cluster.name, options.vault_addr, token),
        Store(options.vault_addr, token),
        Login(cluster.name, options.vault_addr, token),
        options.timeout,
        options.dry_run,
    )
    try:
        done = stages.STAGES[options.stage](run)
    except NotYet as error:
        report([Finding(str(error))])
        return NOT_YET
    dry = ", nothing written" if options.dry_run and done.changed else ""
    print(f"{'changed' if done.changed else 'unchanged'}{dry}: {done.message}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
