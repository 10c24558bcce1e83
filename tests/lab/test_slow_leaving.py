"""Members that leave a cluster of real servers (the K3s stand-in, in namespaces), with a real Vault beside them.

The tests build on each other in their order: one cluster, which shrinks from three servers and a worker to one.
"""

import ctypes
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import leave_cluster
import update_kubeconfig
from fleet.members import departures
from fleet.members.departures import Fleet
from fleet.members.leave import k3s
from fleet.vault.secret import Secret
from tests.helpers import vault_server
from tests.helpers.k3s_nodes import Node, Site, site, until

TOKEN = "a-short-token"
PLANES = {f"k8s-prod-cp0{number}": f"10.77.0.1{number}" for number in (1, 2, 3)}
ADDRESSES = PLANES | {"k8s-prod-w01": "10.77.0.21"}
NEWNET = 0x40000000  # CLONE_NEWNET


def enter(space: str) -> None:
    """Let this process, and what it starts from now on, be in a network namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path(space).open() as file:
        assert libc.setns(file.fileno(), NEWNET) == 0, os.strerror(ctypes.get_errno())


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("leaving")) as made, Path("/proc/self/ns/net").open() as own:
        enter(f"/run/netns/{made.prefix}")
        try:
            yield made
        finally:
            enter(f"/proc/self/fd/{own.fileno()}")


@pytest.fixture(scope="module")
def vault(network: Site) -> Iterator[vault_server.Vault]:
    with vault_server.running() as running:
        yield running


@pytest.fixture(scope="module")
def nodes(network: Site, vault: vault_server.Vault) -> dict[str, Node]:
    made = {name: network.node(name, int(address.split(".")[-1])) for name, address in ADDRESSES.items()}
    first = made["k8s-prod-cp01"]
    sans = [f"--tls-san={address}" for address in PLANES.values()]
    first.start("server", "--cluster-init", f"--token={TOKEN}", *sans).up()
    for name, node in made.items():
        if node is not first:
            kind = "server" if name in PLANES else "agent"
            node.start(
                kind,
                "--server=https://10.77.0.11:6443",
                f"--token={TOKEN}",
                *(sans if name in PLANES else ()),
            )
            node.up()
    return made


@pytest.fixture
def run(nodes, vault, monkeypatch, tmp_path, capfd):
    """leave_cluster.py with an inventory of these machines; its exit code and all that it said."""
    monkeypatch.setenv("VAULT_ADDR", vault.url)
    monkeypatch.setenv("VAULT_TOKEN", vault.token)
    first = nodes["k8s-prod-cp01"]
    if not Secret("cluster-bootstrap/k8s-prod").read().data:
        full = (first.folder / "var/lib/rancher/k3s/server/token").read_text().strip()
        Secret("cluster-bootstrap/k8s-prod").write({"token": TOKEN, "server_token": full}, 0)
        kubeconfig = first.folder / "etc/rancher/k3s/k3s.yaml"
        given = ("--kubeconfig", str(kubeconfig), "--inventory-name=k8s-prod", "--address=10.77.0.11")
        assert update_kubeconfig.main([*given, "--inventory=/dev/null"]) == 0

    def call(*argv: str, there=ADDRESSES) -> tuple[int, str]:
        lines = [f"{name} ansible_host={address}  # terraform" for name, address in there.items()]
        (tmp_path / "k8s.ini").write_text("\n".join(lines) + "\n")
        capfd.readouterr()
        code = leave_cluster.main([*argv, f"--inventory={tmp_path}/k8s.ini"])
        out, err = capfd.readouterr()
        print(out, err)
        return code, out + err

    return call


@pytest.fixture
def token(vault, tmp_path) -> Path:
    path = tmp_path / "token"
    path.write_text(f"{vault.token}\n")
    return path


def has_node(node: Node, name: str) -> bool:
    return name in {one["metadata"]["name"] for one in node.get("nodes")["items"]}


def etcd(node: Node) -> list[str]:
    return sorted(member["name"].rpartition("-")[0] for member in node.members())


def test_a_worker_whose_pod_may_not_go_stays_and_is_of_use(run, nodes):
    first = nodes["k8s-prod-cp01"]
    until(lambda: has_node(first, "k8s-prod-w01"), 30, "the worker is there")
    pod = {"image": "nothing", "name": "web"}
    spec = {"nodeSelector": {"kubernetes.io/hostname": "k8s-prod-w01"}, "containers": [pod],
            "volumes": [{"name": "cache", "emptyDir": {}}]}  # fmt: skip
    labels = {"app": "web"}
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
                  "spec": {"replicas": 1, "selector": {"matchLabels": labels},
                           "template": {"metadata": {"labels": labels}, "spec": spec}}}  # fmt: skip
    budget = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web"},
              "spec": {"minAvailable": 1, "selector": {"matchLabels": labels}}}  # fmt: skip
    file = first.folder / "etc/rancher/objects.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [deployment, budget]}))
    first.kubectl("apply", "-f", "/etc/rancher/objects.json")
    first.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    code, said = run("k8s-prod-w01", "--dry-run")
    assert (
        code == 0
        and "1 pods would be evicted" in said
        and "its volume cache is empty again elsewhere" in said
    )
    code, said = run("k8s-prod-w01", "--timeout=6")
    assert code == 1 and "it cannot leave k8s-prod: k8s-prod-w01 still has pods after 6 s" in said
    assert "Cannot evict pod as it would violate the pod's disruption budget" in said
    assert "its volume cache is empty again elsewhere" in said
    assert not first.get("node", "k8s-prod-w01")["spec"].get("unschedulable")


def test_a_worker_leaves_once(run, nodes):
    first = nodes["k8s-prod-cp01"]
    first.kubectl("delete", "pdb", "web")
    code, said = run("k8s-prod-w01")
    assert code == 0 and "changed: k8s-prod-w01 left" in said
    nodes["k8s-prod-w01"].stop(signal.SIGKILL)
    assert run("k8s-prod-w01")[0] == 0  # an agent that still ran for a moment may have registered again
    assert not has_node(first, "k8s-prod-w01")
    secret = first.kubectl("get", "secret", "-n=kube-system", "k8s-prod-w01.node-password.k3s", check=False)
    assert "NotFound" in secret
    code, said = run("k8s-prod-w01")
    assert code == 0 and "unchanged: nobody was left to leave" in said
    code, said = run("k8s-prod-w01", "--dry-run")
    assert code == 0 and "k8s-prod-w01 has left k8s-prod already" in said


def test_two_of_three_are_not_left_behind(run, nodes):
    code, said = run("k8s-prod-cp03")
    assert code == 1 and "k8s-prod would have 2 control planes (k8s-prod-cp01, k8s-prod-cp02)" in said
    assert len(etcd(nodes["k8s-prod-cp01"])) == 3 and has_node(nodes["k8s-prod-cp01"], "k8s-prod-cp03")


def test_a_machine_that_runs_is_not_a_rebuilt_one(run, nodes, token, monkeypatch):
    monkeypatch.setattr("fleet.members.leave.SILENCE", 1)
    code, said = run("k8s-prod-cp03", "--rebuilt", f"--vault-token-file={token}")
    assert code == 1 and "k8s-prod-cp03 is Ready in k8s-prod: K3s runs on it" in said
    assert has_node(nodes["k8s-prod-cp01"], "k8s-prod-cp03")


def test_a_server_whose_disk_is_lost_is_forgotten_and_joins_again(run, nodes, token):
    first, third = nodes["k8s-prod-cp01"], nodes["k8s-prod-cp03"]
    third.make()
    code, said = run("k8s-prod-cp03", "--rebuilt", f"--vault-token-file={token}")
    assert code == 0 and "changed: k8s-prod has forgotten k8s-prod-cp03" in said
    assert etcd(first) == ["k8s-prod-cp01", "k8s-prod-cp02"]
    code, said = run("k8s-prod-cp03", "--rebuilt", f"--vault-token-file={token}")
    assert code == 0 and "unchanged: k8s-prod has no k8s-prod-cp03" in said
    third.start("server", "--server=https://10.77.0.11:6443", f"--token={TOKEN}").up()
    assert len(etcd(first)) == 3


def test_quorum_is_kept(run, nodes):
    """With one of three broken no other may go; the broken one may, and what asks is not the one that leaves."""
    nodes["k8s-prod-cp03"].stop(signal.SIGKILL)
    fleet = Fleet(frozenset(), frozenset({"k8s-prod-cp01"}), frozenset(PLANES), PLANES)
    said = departures.refused(fleet, k3s)
    assert (
        list(said) == ["k8s-prod-cp01"] and "k8s-prod-cp03 is not; repair that first" in said["k8s-prod-cp01"]
    )
    broken = fleet._replace(replaced=frozenset({"k8s-prod-cp03"}))
    assert departures.refused(broken, k3s) == {}
    assert departures.told(broken, k3s)[0].startswith("k8s-prod-cp03 would leave k8s-prod: ")


def test_two_of_three_leave_together(run, nodes):
    first = nodes["k8s-prod-cp01"]
    code, said = run("k8s-prod-cp03", "k8s-prod-cp02", there=PLANES)
    assert code == 0 and "changed: k8s-prod-cp03, k8s-prod-cp02 left" in said
    assert etcd(first) == ["k8s-prod-cp01"]
    assert first.kubectl("get", "--raw", "/readyz") == "ok"


def test_the_last_ends_with_its_machine(run, nodes):
    code, said = run("k8s-prod-cp01", there={"k8s-prod-cp01": "10.77.0.11"})
    assert code == 0 and "unchanged: k8s-prod would keep no control plane" in said
    assert has_node(nodes["k8s-prod-cp01"], "k8s-prod-cp01")


def test_a_cluster_that_does_not_answer_keeps_its_members(run, nodes):
    nodes["k8s-prod-cp01"].stop(signal.SIGKILL)
    code, said = run("k8s-prod-w01", there=ADDRESSES)
    assert (
        code == 1
        and "it cannot leave k8s-prod: no control plane of k8s-prod answers: k8s-prod-cp01 (10.77.0.11)"
        in said
    )
