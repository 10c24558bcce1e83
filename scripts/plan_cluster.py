#!/usr/bin/env python3
"""Plan a K3s cluster of several machines: which control plane starts it, or which one the others join.

With a cluster's name it reads the inventory and shows the plan to a person; nothing is written. Without one it serves
the role k8s_ha: it reads Vault's token from the first line of standard input and the role's description of the
machines, as JSON, from the rest; it gives a new cluster its token in Vault (kv/cluster-bootstrap/CLUSTER), unless with
--check, and prints the plan as JSON, with the tokens: that output is for no log.
Asks every control plane on port 6443, for a few seconds. Environment or `.env`: VAULT_ADDR, VAULT_TOKEN (also
VAULT_CACERT, VAULT_NAMESPACE).
Exit codes: 0 planned, also where the plan refuses a cluster; 1 a wrong description; 2 wrong usage or no Vault.
"""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from fleet import cli, console, dotenv
from fleet.ansible import inventory
from fleet.ansible.host import used
from fleet.files import read_text
from fleet.findings import Fault, guarded
from fleet.members import access, plan
from fleet.members.cluster import Cluster, clusters
from fleet.members.tokens import Store
from fleet.names import cluster_of, is_member, kind_of
from fleet.paths import INVENTORY, shown
from fleet.steps.cluster import read_token

EXAMPLES = """examples:
  plan_cluster.py k8s-prod
"""


@guarded
def main(argv: list[str] | None = None) -> int:
    parser = cli.parser(__doc__, EXAMPLES)
    parser.add_argument("cluster", nargs="?", help="show a person the plan for this cluster")
    parser.add_argument("--inventory", type=Path, default=INVENTORY, help=f"default: {shown(INVENTORY)}")
    parser.add_argument("--vault-addr", metavar="URL", help="default: VAULT_ADDR")
    parser.add_argument("--check", action="store_true", help="write nothing to Vault")
    options = parser.parse_args(argv)
    dotenv.load()
    if options.cluster:
        given, token = described(options.cluster, options.inventory), None
    else:
        token = read_token("-")
        given = json.load(sys.stdin)
    check = options.check or bool(options.cluster)
    found = clusters(given)
    with ThreadPoolExecutor(max(len(found), 1)) as pool:  # one may wait for minutes
        made = pool.map(lambda one: planned(one, options.vault_addr, token, check), found)
        plans = list(zip(found, made, strict=True))
    print(as_text(*plans[0]) if options.cluster else as_json(plans))
    return 0


def planned(cluster: Cluster, addr: str | None, token: str | None, check: bool) -> plan.Plan:
    """A cluster's plan. What is wrong with it alone refuses it and no other. Raises Fault where Vault is away."""
    try:
        return _planned(cluster, addr, token, check)
    except Fault as fault:
        if fault.code == 2:
            raise
        return plan.Plan((str(fault),))


def _planned(cluster: Cluster, addr: str | None, token: str | None, check: bool) -> plan.Plan:
    force = any(str(one.settings.get("force_init")).lower() == "true" for one in cluster.targets)
    wait = 0 if check else plan.Wish._field_defaults["wait"]
    wish = plan.Wish(access.known(cluster.name, addr, token), force, check, wait)
    return plan.plan(cluster, Store(cluster.name, addr, token), wish)


def described(name: str, path: Path) -> dict[str, Any]:
    """A cluster as the inventory has it, with all of its members as targets. Raises Fault."""
    found = inventory.parse(read_text(path), shown(path)).variables()
    hosts = {host: {"address": used(known).get("ansible_host", host)} for host, known in found.items()}
    members = {host: {} for host in hosts if is_member(host) and cluster_of(host) == name}
    if not members:
        raise Fault(f"no machine of a cluster {name} of several machines", shown(path))
    balancers = {
        host: hosts[host] | {"vip": found[host].get("haproxy_vip", "")}
        for host in hosts
        if (kind := kind_of(host)) and kind.group == "haproxy"
    }
    return {"hosts": hosts, "load_balancers": balancers, "targets": members}


def as_json(plans: list[tuple[Cluster, plan.Plan]]) -> str:
    return json.dumps(
        {
            cluster.name: {
                "refused": made.refused,
                "starts": made.starts,
                "joins": made.joins,
                "endpoint": cluster.endpoint,
                "endpoint_mode": cluster.mode,
                "names": cluster.names,
                "planes": {one.name: one.address for one in cluster.control_planes},
                "members": [one.name for one in cluster.members],
                "token": made.tokens.password,
                "server_token": made.tokens.server_token,
            }
            for cluster, made in plans
        }
    )


def as_text(cluster: Cluster, made: plan.Plan) -> str:
    rows = [(one.name, one.address, _role(one.name, one.control_plane, made)) for one in cluster.members]
    text = console.table(("machine", "address", "what it does"), rows)
    return "\n".join([f"{cluster.name}: endpoint {cluster.endpoint} ({cluster.mode})", text, *made.refused])


def _role(name: str, control_plane: bool, made: plan.Plan) -> str:
    if made.refused:
        return "nothing: see below"
    if name == made.starts:
        return "starts the cluster"
    if name == made.joins:
        return "runs; the others join it"
    return "joins, or runs" if made.joins else "joins when that is up"


if __name__ == "__main__":
    raise SystemExit(main())
