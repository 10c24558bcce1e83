"""What the demo shows and proves: the runs, the machines, the clusters, and how long each stage took."""

import re
import time
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from lab import LabError, user
from lab.clone import Clone
from lab.forge import client

K8S, HAPROXY = "k8s-dev", "haproxy-dev"
ADDRESS = {K8S: "192.168.1.20", HAPROXY: "192.168.1.30"}
QUEUE, INVENTORY = "proxmox/new_hosts.txt", "proxmox/k8s.ini"


def served(commit: str | None = None, number: int | None = None) -> list[dict]:
    """Wait for the runs; LabError with the failing job's last lines if one of them failed."""
    runs = client.wait(commit, [number] if number else (), report=say)
    for run in client.failed(runs):
        job = next((job["name"] for job in run["jobs"] if job["conclusion"] == "failure"), "")
        lines = [line for line in client.log(run["id"]).splitlines() if f" {job} | " in line or not job]
        print("\n".join(lines[-25:]))
        raise LabError(
            f"{run['path']}, job {job!r} failed; its log: .venv/bin/python -m lab.forge log {run['id']}"
        )
    return runs


def provision(playbook: str, name: str) -> dict:
    """Run the workflow ansible by hand on one machine."""
    return served(number=client.dispatch("ansible.yml", {"playbook": playbook, "hosts": name}))[0]


def changed(run: dict) -> list[int]:
    """The number of changed tasks in Ansible's recap, for each machine of a run."""
    return [int(count) for count in re.findall(r"ok=\d+\s+changed=(\d+)", client.log(run["id"]))]


def prove(fleet: Clone, tags: str = "") -> None:
    """Check the result from outside, without the workflows' own reports."""
    title("checked from outside")
    need(
        user.kubectl(K8S, "get", "--raw", "/readyz") == "ok", f"kubectl --context {K8S} get --raw /readyz: ok"
    )
    print(user.kubectl(K8S, "get", "namespaces"))
    answer = user.kubectl(
        K8S,
        f"--server=https://{ADDRESS[HAPROXY]}:6443",
        f"--tls-server-name={ADDRESS[K8S]}",
        "get",
        "--raw",
        "/version",
    )
    need("gitVersion" in answer, f"the same API answers through {HAPROXY}")
    fleet.pull()
    print(fleet.git("log", "-12", "--format=%h %s"))
    record = f"Auto-update Ansible inventory {tags or '[ansible'}"
    need(record in fleet.git("log", "--format=%s"), "the tagged commit is the record")
    need_empty_queue(fleet)


def need_empty_queue(fleet: Clone) -> None:
    fleet.pull()
    waiting = [line for line in fleet.read(QUEUE).splitlines() if line and not line.startswith("#")]
    need(not waiting, "the queue is empty")


def not_ready(cluster: str, machines: Iterable[str]) -> set[str]:
    """The machines of a cluster that are not ready, after a minute at most, and nodes that are no machine."""
    for _ in range(60):
        lines = [line.split() for line in user.kubectl(cluster, "get", "nodes", "--no-headers").splitlines()]
        ready = {name for name, state, *_ in lines if state == "Ready"}
        if not (left := ready ^ set(machines)):
            break
        time.sleep(1)
    return left


def table(fleet: Clone, runs: list[dict]) -> None:
    """The machines, and how long each stage took."""
    fleet.pull()
    output = user.terraform_output(fleet)
    contexts = {item["name"]: item["context"]["cluster"] for item in user.kubeconfig()[0].get("contexts", [])}
    steps = [(job["name"], step) for run in runs for job in run["jobs"] for step in job["steps"]]
    log = logs(runs)
    created = dict(re.findall(r'this\["([^"]+)"\]: Creation complete after (\w+)', log))
    provisioned = dict(re.findall(r"\| (\S+) +\w+ +ok +\d+ +(\d+)$", log, re.M))
    title("the machines")
    print(f"{'machine':<16}{'node':<8}{'VMID':<6}{'address':<15}{'created':<12}{'provisioned':<13}cluster")
    for name, one in sorted(output["ansible_inventory"].items()):
        made = f"in {created[name]}" if name in created else "was there"
        played = f"in {provisioned[name]}s" if name in provisioned else "was"
        where = f"{name:<16}{one['node']:<8}{one['vmid']:<6}{one['address']:<15}"
        cluster = contexts.get(name) or contexts.get(name.rpartition("-")[0], "-")  # its own, or as a member
        print(f"{where}{made:<12}{played:<13}{cluster}")
    print(f"\n{'stage':<60}{'seconds'}")
    for job, step in steps:
        if step["completed_at"]:
            print(f"{(job + ' / ' + step['name'])[:58]:<60}{_seconds(step):>7.1f}")
    for run in runs:
        seconds = _seconds(run | {"started_at": run["run_started_at"]})
        print(f"{'all of ' + Path(run['path']).name:<60}{seconds:>7.1f}")


def title(text: str) -> None:
    print(f"\n== {text}", flush=True)


def say(text: str) -> None:
    print(f"{datetime.now():%H:%M:%S} {text}", flush=True)


def need(condition: object, text: str) -> None:
    """Print what was proven, or end the demo."""
    if not condition:
        raise LabError(f"not proven: {text}")
    say(f"proven: {text}")


def _seconds(item: dict) -> float:
    begin, end = (datetime.fromisoformat(item[key]) for key in ("started_at", "completed_at"))
    return (end - begin).total_seconds()


def logs(runs: list[dict]) -> str:
    return "\n".join(client.log(run["id"]) for run in runs)
