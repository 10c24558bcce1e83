#!/usr/bin/env python3
"""Wait until a member of a K3s cluster is whole; or with --before-stop, until K3s on it may be stopped for a moment.

A control plane is whole when its API is ready, etcd has it as a member with a vote, and its Node is Ready and reports
the version; a worker when its Node is and does. Everything is asked over port 6443.
Reads Vault's token from the first line of standard input and the member's own kubeconfig from the rest; where that is
empty, the cluster's kubeconfig comes from Vault. With --server-token the second line is the token that the server has
in /var/lib/rancher/k3s/server/token: it is held against Vault's, and kept there (kv/cluster-bootstrap/CLUSTER) as the
token by which the others join. Writes nothing else. No secret is ever printed.
Exit codes: 0 it is (or may), 1 it is not in time, 2 wrong usage or Vault out of reach.
"""

import argparse
import functools
import sys

from fleet import cli, dotenv
from fleet.clusters.from_machine import MAX_BYTES
from fleet.findings import Fault, guarded
from fleet.members import access, prove
from fleet.members.tokens import Store
from fleet.names import cluster_of, is_control_plane, is_member
from fleet.steps.cluster import read_token

EXAMPLES = """examples:
  (echo "$VAULT_TOKEN"; ssh suporte@192.168.1.41 sudo cat /etc/rancher/k3s/k3s.yaml) |
      prove_member.py k8s-prod-cp01 --plane k8s-prod-cp01=192.168.1.41 --version v1.34.4+k3s1
"""


def parser() -> argparse.ArgumentParser:
    options = cli.parser(__doc__, EXAMPLES)
    options.add_argument("name", help="the member's name, which is its Node's too")
    options.add_argument(
        "--plane",
        action="append",
        default=[],
        metavar="NAME=ADDRESS",
        help="a control plane of the cluster; give each; a worker's Node is asked of the first",
    )
    options.add_argument("--version", default="", help="the version that its Node is to report")
    options.add_argument("--before-stop", action="store_true", help="whether the others keep etcd's quorum")
    options.add_argument("--server-token", action="store_true", help="the second line of input is it")
    options.add_argument("--vault-addr", metavar="URL", help="default: VAULT_ADDR")
    options.add_argument("--timeout", type=float, default=180, help="seconds to wait (default: %(default)s)")
    return options


@guarded
def main(argv: list[str] | None = None) -> int:
    command = parser()
    options = command.parse_args(argv)
    name, planes = options.name, dict(one.partition("=")[::2] for one in options.plane)
    if not is_member(name) or not planes or not all(planes.values()):
        command.error("give the name of a member, as k8s-prod-cp01, and at least one --plane NAME=ADDRESS")
    if is_control_plane(name) and name not in planes:
        command.error(f"{name} is a control plane: give its own --plane {name}=ADDRESS too")
    dotenv.load()
    vault = (options.vault_addr, read_token("-"))
    server_token = (
        sys.stdin.buffer.readline(1000).decode(errors="replace").strip() if options.server_token else ""
    )
    raw = sys.stdin.buffer.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise Fault("the kubeconfig on standard input is larger than one that K3s writes", code=2)
    cluster, kubeconfig, done = cluster_of(name), raw.decode(errors="replace").strip(), "unchanged"
    if server_token:
        # Before anything is asked with a password: this is how the cluster's CA becomes known.
        done = "changed" if Store(cluster, *vault).keep(server_token) else "unchanged"
    entry = access.access(cluster, kubeconfig, *vault)
    if options.before_stop:
        asked = functools.partial(prove.may_stop, name, planes, entry)
    else:
        own, server = planes.get(name, ""), next(iter(planes.values()))
        asked = functools.partial(prove.lacking, name, own, own or server, options.version, entry)
    if problem := prove.wait(asked, options.timeout):
        raise Fault(f"{problem} (waited {options.timeout:.0f} s)")
    print(f"{done}: {name} {'may be stopped' if options.before_stop else 'is whole'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
