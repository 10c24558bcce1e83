#!/usr/bin/env python3
"""Merge a machine's kubeconfig into the one that Vault keeps for the whole fleet, or take it out again.

Reads: the kubeconfig (a file, or standard input with `-`), the inventory for the machine's address, and the
secret kv/cluster-secret-store/secrets/KUBECONFIG. Writes: that secret, by check-and-set, if it changes.
The API is asked which cluster it is (the uid of its namespace kube-system), by which others notice another one there.
Of a machine's kubeconfig only its own server, the CA, a certificate with its key and a token are taken.
When the token and the kubeconfig both come from standard input, the token is its first line.
Environment or `.env`: VAULT_TOKEN, VAULT_ADDR (also VAULT_CACERT, VAULT_NAMESPACE). No secret is ever printed.
Exit codes: 0 changed or unchanged (it says which), 1 refused, 2 wrong usage or Vault out of reach.
"""

import argparse
from pathlib import Path
from typing import Any

from fleet import cli, dotenv
from fleet.clusters import contents, current, kubeconfig, shared_kubeconfig
from fleet.clusters.vault import Store
from fleet.findings import Finding, guarded, printable, report
from fleet.paths import INVENTORY, shown
from fleet.steps import cluster

EXAMPLES = """examples:
  update_kubeconfig.py --kubeconfig k3s.yaml --inventory-name k8s-dev
  ssh suporte@192.168.1.20 sudo cat /etc/rancher/k3s/k3s.yaml |
      update_kubeconfig.py --kubeconfig - --inventory-name k8s-dev --cluster-name cozy-haven
  update_kubeconfig.py --remove k8s-dev --dry-run
"""


def parser() -> argparse.ArgumentParser:
    options = cli.parser(__doc__, EXAMPLES)
    option = options.add_argument
    option("--kubeconfig", metavar="FILE", help="the machine's kubeconfig; - for standard input")
    option("--inventory-name", metavar="NAME", help="the machine's name in the inventory, and the context's")
    option("--context", metavar="NAME", help="which of the kubeconfig's contexts to take, if it has several")
    trusted = "you wrote the kubeconfig yourself: take what a machine may not give, such as a command to run"
    option("--allow-exec", action="store_true", help=trusted)
    option(
        "--cluster-name",
        metavar="NAME",
        help="the cluster's and user's name (default: as it was, else drawn)",
    )
    keep = "write nothing while the stored entry has the same server and CA and lasts 90 days more"
    option("--keep", action="store_true", help=keep)
    option("--remove", metavar="NAME", help="instead: take this machine's context, cluster and user out")
    option("--inventory", type=Path, default=INVENTORY, help=f"default: {shown(INVENTORY)}")
    option("--address", help="the machine's address (default: its ansible_host in the inventory)")
    option("--vault-addr", metavar="URL", help="default: VAULT_ADDR")
    token = options.add_mutually_exclusive_group()
    token.add_argument(
        "--vault-token-file",
        metavar="FILE",
        help="Vault's token; - for the first line of standard input (default: VAULT_TOKEN, ~/.vault-token)",
    )
    token.add_argument(
        "--vault-token", metavar="TOKEN", help="others can read a command line: use one of the other ways"
    )
    option("--dry-run", action="store_true", help="say what would change, write nothing")
    option("--format", choices=["text", "json"], default="text", help="default: %(default)s")
    return options


@guarded
def main(argv: list[str] | None = None) -> int:
    command = parser()
    options = command.parse_args(argv)
    dotenv.load()
    if bool(options.remove) == bool(options.kubeconfig) or (
        options.kubeconfig and not options.inventory_name
    ):
        command.error("give --kubeconfig and --inventory-name, or --remove")
    if options.vault_token:
        warning = (
            "every user of this machine can read --vault-token; set VAULT_TOKEN or use --vault-token-file"
        )
        report([Finding(warning, level="warning")])
    token_file = options.vault_token_file
    token = options.vault_token if token_file is None else cluster.read_token(token_file)
    access = (options.vault_addr, token)
    if options.remove:
        result = shared_kubeconfig.remove(options.remove, *access, options.dry_run)
    else:
        name = options.inventory_name
        address = options.address or cluster.address_of(name, options.inventory)
        chosen = (options.context, options.allow_exec)
        new = cluster.read_kubeconfig(options.kubeconfig, name, address, *chosen)

        uid = cluster.uid_of(new, name, address)

        def edit(data: dict[str, Any]) -> kubeconfig.Edit:
            if options.keep and current.serves(data, new, name, address):
                made = kubeconfig.Edit(data, contents.chosen(data, name)[1]["name"], [])
            else:
                made = kubeconfig.merge(data, new, name, address, options.cluster_name)
            return current.identified(made, data, name, uid)

        result = shared_kubeconfig.update(Store(*access), edit, name, options.dry_run)
    report([Finding(printable(note), level="notice") for note in result.notes])
    print(as_json(result) if options.format == "json" else as_text(result, options))
    return 0


def as_json(result: shared_kubeconfig.Result) -> str:
    import json

    return json.dumps({key: value for key, value in result._asdict().items() if key != "notes"})


def as_text(result: shared_kubeconfig.Result, options: argparse.Namespace) -> str:
    state = "changed" if result.changed else "unchanged"
    dry = ", nothing written" if options.dry_run else ""
    what = f"cluster {result.cluster}" if result.cluster else "not there"
    gone = " removed" if options.remove and result.changed else ""
    return printable(f"{state}: context {result.context}{gone}, {what}, version {result.version}{dry}")


if __name__ == "__main__":
    raise SystemExit(main())
