"""The demo's K3s cluster of several machines, and what is seen of it from outside."""

import re
import time
from datetime import datetime
from pathlib import Path

from lab import LabError, cgroup, user
from lab.clone import Clone
from lab.demo import proof
from lab.demo.proof import changed, need, need_empty_queue, provision, title

CLUSTER, PLAYBOOK, BALANCER = "k8s-prod", "k8s-ha", "haproxy-prod"
SERVERS = tuple(f"{CLUSTER}-cp0{number}" for number in (1, 2, 3))
WORKER, ADDED = f"{CLUSTER}-w01", f"{CLUSTER}-w02"
ADDRESS = {
    BALANCER: "192.168.1.40",
    **{name: f"192.168.1.4{number}" for number, name in enumerate(SERVERS, 1)},
    WORKER: "192.168.1.44",
    ADDED: "192.168.1.45",
}
FIRST = (*SERVERS, WORKER, BALANCER)
LIMIT = 6  # GB that all of this may use
ETCDCTL = "/usr/local/bin/etcdctl"  # of the stand-in for K3s


def file(name: str) -> str:
    return f"proxmox/vms/{name}.yaml"


def prove(fleet: Clone) -> None:
    """Check the result from outside, without the workflows' own reports."""
    title("checked from outside, with the kubeconfig read back from Vault")
    config = user.kubeconfig()[0]
    context = next(one["context"] for one in config["contexts"] if one["name"] == CLUSTER)
    server = next(one["cluster"]["server"] for one in config["clusters"] if one["name"] == context["cluster"])
    need(server == f"https://{ADDRESS[BALANCER]}:6443", f"context {CLUSTER}: {server}, which is {BALANCER}")
    wanted = members(fleet)
    need(not not_ready(fleet), f"kubectl --context {CLUSTER} get nodes: {len(wanted)} nodes are ready")
    print(user.kubectl(CLUSTER, "get", "nodes", "--output=wide"))
    found = etcd(SERVERS[0])[1]
    print("\n".join(found))
    need(len(found) == 3 and all(line.endswith("false") for line in found), "etcd: 3 members, no learner")
    need_empty_queue(fleet)
    used = memory()
    need(used < LIMIT, f"all of the lab uses {used:.1f} GB of memory, less than {LIMIT}")


def members(fleet: Clone) -> list[str]:
    """The machines of the cluster that have a VM file."""
    fleet.pull()
    return [name for name in ADDRESS if name != BALANCER and (fleet.path / file(name)).exists()]


def unchanged(fleet: Clone) -> None:
    """Both playbooks on all machines, with nothing to change."""
    for playbook, hosts in ((PLAYBOOK, ",".join(members(fleet))), ("haproxy", BALANCER)):
        counts = changed(provision(playbook, hosts))
        need(counts and not any(counts), f"{playbook}.yml reports 0 changed")


def etcd(name: str) -> tuple[str, list[str]]:
    """The id of the etcd cluster of which a server is a member, and etcdctl's line for each member."""
    folder = "/var/lib/rancher/k3s/server/tls/etcd"
    asked = f"--cacert={folder}/server-ca.crt --cert={folder}/client.crt --key={folder}/client.key"
    command = f"sudo env ETCDCTL_API=3 {ETCDCTL} --endpoints=https://127.0.0.1:2379 {asked} "
    status = user.ssh(ADDRESS[name], command + "endpoint status --write-out=json")
    lines = user.ssh(ADDRESS[name], command + "member list").splitlines()
    return re.search(r'"cluster_id":(\d+)', status)[1], lines


def memory() -> float:
    """Gigabytes that the lab's daemons and machines use, shared pages counted once."""
    total = 0
    for pid in cgroup.pids():
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            total += int(re.search(r"^Pss: +(\d+)", text, re.M)[1])
        except (OSError, TypeError):  # it ended meanwhile, or is a kernel thread
            continue
    return total / 1e6


def not_ready(fleet: Clone) -> set[str]:
    return proof.not_ready(CLUSTER, members(fleet))


def answers() -> float:
    """Seconds until kubectl has answered five times in a row."""
    started = time.monotonic()
    first, good = started, 0
    while good < 5:
        if time.monotonic() - started > 60:
            raise LabError("the API did not answer for a minute")
        before = time.monotonic()
        answer = user.kubectl(CLUSTER, "--request-timeout=3s", "get", "--raw", "/readyz", check=False)
        good = good + 1 if answer == "ok" else 0
        first = before if good == 1 else first
        print(f"{datetime.now():%H:%M:%S} {answer or 'no answer'}", flush=True)
        time.sleep(0.5)
    return first - started
