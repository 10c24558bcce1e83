#!/usr/bin/env python3
"""Register a cluster at Vault, so that its workloads log in there as themselves and read their secrets.

Reads the cluster's context in Vault's kubeconfig, and from its API the issuer and the public keys of its tokens. Writes
in Vault: the mount auth/clusters/CLUSTER (JWT) with these keys, and its role external-secrets for the ServiceAccount
of that name; it makes the policy workloads where there is none and the token may. Playbooks call it for each cluster.
When the token comes from standard input, it is the first line.
Environment or `.env`: VAULT_TOKEN, VAULT_ADDR (also VAULT_CACERT, VAULT_NAMESPACE). No secret is ever printed.
Exit codes: 0 changed or unchanged (it says which), 1 refused, 2 wrong usage, or Vault or the API out of reach,
77 Vault's token may not do it.
"""

from fleet import cli, dotenv
from fleet.clusters import contents, shared_kubeconfig
from fleet.clusters.vault import Store
from fleet.contexts import keys
from fleet.findings import guarded
from fleet.steps import cluster as given
from fleet.vault.login import Login

EXAMPLES = """examples:
  register_cluster.py k8s-dev
  register_cluster.py k8s-dev --dry-run
  register_cluster.py k8s-dev --remove
"""


@guarded
def main(argv: list[str] | None = None) -> int:
    parser = cli.parser(__doc__, EXAMPLES)
    option = parser.add_argument
    option("cluster", metavar="CLUSTER", help="its context in Vault's kubeconfig")
    option("--remove", action="store_true", help="instead: take its login away")
    option("--vault-addr", metavar="URL", help="default: VAULT_ADDR")
    token_help = (
        "Vault's token; - for the first line of standard input (default: VAULT_TOKEN, ~/.vault-token)"
    )
    option("--vault-token-file", metavar="FILE", help=token_help)
    option("--dry-run", action="store_true", help="say what would change, write nothing")
    options = parser.parse_args(argv)
    dotenv.load()
    token = given.read_token(options.vault_token_file) if options.vault_token_file else None
    access = (options.vault_addr, token)
    login = Login(options.cluster, *access)
    dry = ", nothing written" if options.dry_run else ""
    if options.remove:
        gone = login.remove(options.dry_run)
        print(
            f"{'changed' if gone else 'unchanged'}: {login.place} {'removed' if gone else 'not there'}{dry}"
        )
        return 0
    kubeconfig = shared_kubeconfig.read(Store(*access))
    if options.dry_run and not contents.has_context(kubeconfig, options.cluster):
        print(f"changed: {options.cluster} would be registered once Vault has its kubeconfig{dry}")
        return 0
    changed = login.register(keys.published(kubeconfig, options.cluster), options.dry_run)
    what = f" {', '.join(changed)} at" if changed else ""
    print(f"{'changed' if changed else 'unchanged'}:{what} {login.place}{dry}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
