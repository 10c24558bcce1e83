#!/usr/bin/env python3
"""Merge a machine's kubeconfig into the one that Vault keeps for the whole fleet, or take it out again.

Reads: the kubeconfig (a file, or standard input with `-`), the inventory for the machine's address, and the
secret kv/cluster-secret-store/secrets/KUBECONFIG. Writes: that secret, by check-and-set, if it changes.
Environment: VAULT_TOKEN, VAULT_ADDR (also VAULT_CACERT, VAULT_NAMESPACE). No secret is ever printed.
Exit codes: 0 changed or unchanged (it says which), 1 refused, 2 wrong usage or Vault out of reach.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from fleet import cli
from fleet.ansible import inventory
from fleet.clusters import contents, kubeconfig, shared_kubeconfig, yaml_parse
from fleet.clusters.server import HOST
from fleet.clusters.vault import Store
from fleet.findings import Fault, Finding, guarded, printable, report
from fleet.paths import INVENTORY, shown

EXAMPLES = """examples:
  update_kubeconfig.py --kubeconfig k3s.yaml --inventory-name k8s-dev
  ssh suporte@192.168.1.20 sudo cat /etc/rancher/k3s/k3s.yaml |
      update_kubeconfig.py --kubeconfig - --inventory-name k8s-dev --cluster-name cozy-haven
  update_kubeconfig.py --remove k8s-dev --dry-run
"""


def address_of(name: str, path: Path) -> str | None:
    """Where the inventory says that a machine is; None when it has no such host. Raises Fault."""
    try:
        hosts = inventory.parse(path.read_text(errors="replace")).variables()
    except OSError as error:
        raise Fault(f"{error.strerror}; name the inventory with --inventory", shown(path), code=2) from error
    return hosts[name].get("ansible_host", name) if name in hosts else None


def read_kubeconfig(source: str) -> dict[str, Any]:
    """A machine's kubeconfig as data. Raises Fault that does not quote it."""
    what = "standard input" if source == "-" else shown(source)
    try:
        raw = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
        text = raw.decode()
    except OSError as error:
        raise Fault(error.strerror or "cannot be read", what, code=2) from None
    except UnicodeDecodeError:
        raise Fault(f"{what} is no text in UTF-8") from None
    data = yaml_parse.parse(text, what).data
    if not data:
        raise Fault(f"{what} is empty: no kubeconfig came from the machine")
    contents.check(data, what)
    return data


def parser() -> argparse.ArgumentParser:
    options = cli.parser(__doc__, EXAMPLES)
    option = options.add_argument
    option("--kubeconfig", metavar="FILE", help="the machine's kubeconfig; - for standard input")
    option("--inventory-name", metavar="NAME", help="the machine's name in the inventory, and the context's")
    option(
        "--cluster-name",
        metavar="NAME",
        help="the cluster's and user's name (default: as it was, else drawn)",
    )
    option("--remove", metavar="NAME", help="instead: take this machine's context, cluster and user out")
    option("--inventory", type=Path, default=INVENTORY, help=f"default: {shown(INVENTORY)}")
    option("--address", help="the machine's address (default: its ansible_host in the inventory)")
    option("--vault-addr", metavar="URL", help="default: VAULT_ADDR")
    option("--vault-token", metavar="TOKEN", help="better by VAULT_TOKEN: others can read a command line")
    option("--dry-run", action="store_true", help="say what would change, write nothing")
    option("--format", choices=["text", "json"], default="text", help="default: %(default)s")
    return options


@guarded
def main(argv: list[str] | None = None) -> int:
    command = parser()
    options = command.parse_args(argv)
    if bool(options.remove) == bool(options.kubeconfig) or (
        options.kubeconfig and not options.inventory_name
    ):
        command.error("give --kubeconfig and --inventory-name, or --remove")
    if options.vault_token:
        warning = "--vault-token can be read by every user of this machine; set VAULT_TOKEN instead"
        report([Finding(warning, level="warning")])
    access = (options.vault_addr, options.vault_token)
    if options.remove:
        result = shared_kubeconfig.remove(options.remove, *access, options.dry_run)
    else:
        name = options.inventory_name
        if not HOST.fullmatch(name):
            raise Fault(f"{name!r} is no machine's name", code=2)
        new = read_kubeconfig(options.kubeconfig)
        address = options.address or address_of(name, options.inventory)
        if not address:
            missing = (
                f"no host {name} in {shown(options.inventory)}; a server of 127.0.0.1 could not be replaced"
            )
            report([Finding(missing, level="warning")])
        result = shared_kubeconfig.update(
            Store(*access),
            lambda data: kubeconfig.merge(data, new, name, address, options.cluster_name),
            name,
            options.dry_run,
        )
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
