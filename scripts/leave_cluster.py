#!/usr/bin/env python3
"""Take members out of their cluster: drain, delete the Node, wait until etcd has let it go.

The apply does this before Terraform destroys or replaces their machines. Pods are evicted, so that their
PodDisruptionBudgets are kept; those of DaemonSets stay. A Talos machine that answers is reset: Talos' configuration
and data are wiped, and it is off. With --rebuilt (K3s) the machine is a new one of an old name, and only what the
cluster still has of the old one is removed. Refused where etcd would lose its quorum, or keep an even number of
members.
Reads the inventory for addresses, and from Vault the kubeconfig and kv/cluster-bootstrap/CLUSTER. Members of Talos
clusters need talosctl, in PATH or where TALOSCTL says. With --rebuilt Vault's token is the first line of standard
input unless it is given otherwise. Uses no SSH.
Environment or `.env`: VAULT_ADDR, VAULT_TOKEN. No secret is ever printed.
Exit codes: 0 changed or unchanged (it says which), 1 refused, 2 wrong usage, or Vault or the cluster out of reach.
"""

import argparse
from pathlib import Path

from fleet import cli, dotenv
from fleet.ansible import inventory
from fleet.ansible.host import addresses_of
from fleet.console import note
from fleet.files import read_text
from fleet.findings import Finding, guarded, listed, report
from fleet.members import access, departures, drain, leave, place
from fleet.members.departures import Fleet
from fleet.names import cluster_of, is_member, is_talos
from fleet.paths import INVENTORY, shown
from fleet.steps.cluster import read_token
from fleet.talos.leave import find

EXAMPLES = """examples:
  leave_cluster.py k8s-prod-w02 --dry-run
  leave_cluster.py talos-prod-w01
  echo "$VAULT_TOKEN" | leave_cluster.py k8s-prod-cp02 --rebuilt
"""


def parser() -> argparse.ArgumentParser:
    options = cli.parser(__doc__, EXAMPLES)
    option = options.add_argument
    option("names", nargs="+", metavar="NAME", help="members of clusters, such as k8s-prod-w02")
    option(
        "--rebuilt", action="store_true", help="the machine was made again: forget the old one, drain nothing"
    )
    option("--dry-run", action="store_true", help="say what would be done, change nothing")
    option("--inventory", type=Path, default=INVENTORY, help=f"default: {shown(INVENTORY)}")
    option(
        "--timeout", type=float, metavar="S", default=drain.WAIT, help="for a drain (default: %(default)s s)"
    )
    option("--vault-addr", metavar="URL", help="default: VAULT_ADDR")
    option(
        "--vault-token-file",
        metavar="FILE",
        help="- for the first line of standard input (default: VAULT_TOKEN)",
    )
    return options


@guarded
def main(argv: list[str] | None = None) -> int:
    command = parser()
    options = command.parse_args(argv)
    dotenv.load()
    if strangers := [name for name in options.names if not is_member(name)]:
        command.error(f"{listed(strangers)}: not a member of a cluster of several machines")
    if options.rebuilt and any(map(is_talos, options.names)):
        command.error("--rebuilt is for K3s; a Talos member that does not answer is taken out without it")
    token_file = options.vault_token_file or ("-" if options.rebuilt else None)
    vault = (options.vault_addr, read_token(token_file) if token_file else None)
    addresses = addresses_of(inventory.parse(read_text(options.inventory)).variables())
    names = frozenset(options.names)
    clusters = {cluster_of(name) for name in addresses if is_member(name)}
    if unknown := sorted(name for name in names if cluster_of(name) not in clusters):
        command.error(f"{listed(unknown)}: {shown(options.inventory)} has no machine of its cluster")
    fleet = Fleet(names, frozenset(), addresses.keys() - names, addresses)
    if options.rebuilt:
        return rebuilt(fleet._replace(staying=frozenset(addresses) | names), vault, options.dry_run)
    if options.dry_run:
        print("\n".join(departures.told(fleet, find, vault)))
        return 0
    for cluster in fleet.ending():
        print(f"unchanged: {cluster} would keep no control plane, so it ends with its machines")
    left, reasons = departures.depart(fleet, find, note, vault, options.timeout)
    if left or not reasons:
        print(f"changed: {listed(left)} left" if left else "unchanged: nobody was left to leave")
    return report(Finding(f"{name}: {reason}") for name, reason in reasons.items())


def rebuilt(fleet: Fleet, vault: departures.Vault, dry_run: bool) -> int:
    for name in sorted(fleet.going):
        cluster = cluster_of(name) or ""
        # Until its first run is through, a cluster has tokens there and no kubeconfig.
        asked = fleet.ask(cluster, leave.k3s, vault) if access.known(cluster, *vault) else None
        if asked is None:
            print(f"unchanged: Vault has no kubeconfig of {cluster}, so {name} was never handed over")
            continue
        found = asked.place
        if dry_run:
            has = place.api(found, [name]).get("node", name)
            print(f"{cluster} {'has a Node ' + name + ', which would go' if has else 'has no Node ' + name}")
            continue
        changed = leave.forget(found, name, note)
        print(
            f"changed: {cluster} has forgotten {name}" if changed else f"unchanged: {cluster} has no {name}"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
