"""Members that leave a Talos cluster: nodes of the lab's stand-in, the real talosctl and a real Vault.

The tests build on each other in their order: one cluster, which shrinks from three control planes and a worker to one.
"""

import json
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

import leave_cluster
from fleet.clusters.vault import Store
from fleet.members import departures
from fleet.members.departures import Fleet
from fleet.talos import bundle, node, settings, stages, talosctl
from fleet.talos.leave import find
from fleet.vault.login import Login
from fleet.vault.secret import Secret
from tests.helpers import talos, vault_server
from tests.helpers.talos import Nodes, entered
from tests.talos.conftest import GIVEN

CP1, CP2, CP3, W1 = "talos-prod-cp01", "talos-prod-cp02", "talos-prod-cp03", "talos-prod-w01"
PLANES = frozenset({CP1, CP2, CP3})


class Site:
    def __init__(self, nodes: Nodes, vault: vault_server.Vault):
        self.nodes, self.vault = nodes, vault
        self.secret = Secret("cluster-bootstrap/talos-prod", vault.url, vault.token)
        self.ctl = talosctl.Talosctl(str(nodes.talosctl_program))

    def stage(self, name: str, *members: str) -> None:
        cluster = settings.parse(json.dumps(GIVEN | {"machines": dict(self.nodes.address)}), CP1)
        store = Store(self.vault.url, self.vault.token)
        for member in members:
            login = Login(cluster.name, self.vault.url, self.vault.token)
            run = stages.Run(cluster, cluster.node(member), self.ctl, self.secret, store, login, 120, False)
            stages.STAGES[name](run)

    def look(self, name: str) -> node.State:
        one = node.Node(name, self.nodes.address[name], "-cp" in name)
        return node.look(self.ctl, self.secrets().talosconfig, one).state

    def secrets(self) -> bundle.Bundle:
        return bundle.read(self.secret.read().data, "Vault")

    def etcd(self) -> list[str]:
        one = node.Node(CP1, self.nodes.address[CP1], True)
        return sorted(
            found.name for found in node.etcd_members(self.ctl, self.secrets().talosconfig, one) or ()
        )

    def kubectl(self, *arguments: str) -> str:
        done = self.nodes.kubectl(self.vault.read()[0]["KUBECONFIG"], "--context=talos-prod", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def has(self, name: str) -> bool:
        return f"node/{name}" in self.kubectl("get", "nodes", "-o", "name").split()

    def fleet(self, going: str, staying: frozenset[str] = PLANES) -> Fleet:
        names = frozenset({going})
        return Fleet(names, frozenset(), staying - names, self.nodes.address)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("talos")
    with talos.nodes(folder) as nodes, entered(nodes), vault_server.running() as vault:
        made = Site(nodes, vault)
        for name in (CP1, CP2, CP3, W1):
            nodes.start(name)
        made.stage("secrets", CP1)
        with ThreadPoolExecutor() as pool:  # in the nodes' network, as this thread is
            list(pool.map(partial(made.stage, "install"), nodes.address))
        talos.wait(lambda: _bootstrapped(made))
        talos.wait(lambda: len(made.etcd()) == 3)
        made.stage("kubeconfig", CP1)
        talos.wait(lambda: made.kubectl("get", "nodes").count(" Ready ") == 4)
        yield made


def _bootstrapped(site: Site) -> bool:
    try:
        site.stage("bootstrap", CP1)
    except stages.NotYet:
        return False
    return True


@pytest.fixture
def run(site, monkeypatch, tmp_path, capfd) -> Callable[..., tuple[int, str]]:
    """leave_cluster.py with an inventory of these machines, without those of `gone`; its exit code and what it said."""
    monkeypatch.setenv("VAULT_ADDR", site.vault.url)
    monkeypatch.setenv("VAULT_TOKEN", site.vault.token)
    monkeypatch.setenv("TALOSCTL", site.ctl.program)

    def call(*argv: str, gone: tuple[str, ...] = (), **moved: str) -> tuple[int, str]:
        there = {name: address for name, address in site.nodes.address.items() if name not in gone} | moved
        lines = [f"{name} ansible_host={address}  # terraform" for name, address in there.items()]
        (tmp_path / "k8s.ini").write_text("\n".join(lines) + "\n")
        capfd.readouterr()
        code = leave_cluster.main([*argv, f"--inventory={tmp_path}/k8s.ini"])
        out, err = capfd.readouterr()
        print(out, err)
        assert site.vault.token not in out + err
        return code, out + err

    return call


def test_without_talosctl_a_member_is_kept(run, site, monkeypatch):
    monkeypatch.setenv("TALOSCTL", "/nowhere/talosctl")
    code, said = run(W1)
    assert code == 1 and "TALOSCTL is /nowhere/talosctl, which is not a program; talosctl takes" in said
    assert site.has(W1) and site.look(W1) is node.State.MEMBER


def test_a_machine_at_anothers_address_is_not_reset(run, site):
    code, said = run(W1, **{W1: site.nodes.address[CP3]}, gone=(CP3,))
    assert code == 1 and f"a member answers at {site.nodes.address[CP3]}, the address of {W1}" in said
    assert site.look(CP3) is node.State.MEMBER and site.has(W1)


def test_a_worker_whose_pod_may_not_go_stays_and_is_of_use(run, site):
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "labels": {"app": "web"}},
           "spec": {"nodeName": W1, "containers": [{"image": "nothing", "name": "web"}]}}  # fmt: skip
    budget = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "web"},
              "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}}  # fmt: skip
    file = site.nodes.folder / "objects.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [budget, pod]}))
    site.kubectl("create", "serviceaccount", "default")  # the nodes have no controller that makes it
    site.kubectl("apply", "-f", str(file))
    site.kubectl("patch", "pod", "web", "--subresource=status", "-p", '{"status": {"phase": "Running"}}')
    code, said = run(W1, "--dry-run")
    assert (
        code == 0
        and f"{W1} would leave talos-prod: 1 pods would be evicted; its machine would be reset" in said
    )
    code, said = run(W1, "--timeout=4")
    assert code == 1 and f"it cannot leave talos-prod: {W1} still has pods after 4 s" in said
    assert site.look(W1) is node.State.MEMBER
    assert not json.loads(site.kubectl("get", "node", W1, "-o", "json"))["spec"].get("unschedulable")
    site.kubectl("delete", "pdb,pod", "web", "--force")


def test_a_worker_leaves_once(run, site):
    code, said = run(W1)
    assert code == 0 and f"changed: {W1} left" in said
    assert not site.has(W1) and site.look(W1) is node.State.SILENT
    code, said = run(W1)
    assert code == 0 and "unchanged: nobody was left to leave" in said
    code, said = run(W1, "--dry-run")
    assert code == 0 and f"{W1} has left talos-prod already" in said


def test_a_worker_that_was_kept_after_all_is_configured_again(site):
    site.nodes.processes.pop(W1).wait(30)
    site.nodes.start(W1)
    talos.wait(lambda: site.look(W1) is node.State.MAINTENANCE)
    site.stage("install", W1)
    talos.wait(lambda: site.has(W1))


def test_two_of_three_are_not_left_behind(run, site):
    code, said = run(CP3)
    assert code == 1 and f"talos-prod would have 2 control planes ({CP1}, {CP2})" in said
    assert site.etcd() == [CP1, CP2, CP3]


def test_a_control_plane_leaves_and_joins_again(run, site):
    said: list[str] = []
    fleet = Fleet(frozenset(), frozenset({CP3}), PLANES, site.nodes.address)
    assert departures.depart(fleet, find, said.append) == ([CP3], {})
    assert any(line.endswith("; waiting for its reset") for line in said)
    assert site.etcd() == [CP1, CP2] and not site.has(CP3)
    site.nodes.processes.pop(CP3).wait(30)
    site.nodes.start(CP3)
    talos.wait(lambda: site.look(CP3) is node.State.MAINTENANCE)
    site.stage("install", CP3)
    talos.wait(lambda: site.etcd() == [CP1, CP2, CP3])
    talos.wait(lambda: site.kubectl("get", "nodes").count(" Ready ") == 4)


def test_quorum_is_kept(run, site):
    """With one of three broken no other may go; the broken one may."""
    site.nodes.stop(CP3, signal.SIGKILL)
    fleet = Fleet(frozenset(), frozenset({CP1}), PLANES, site.nodes.address)
    said = departures.refused(fleet, find)
    assert list(said) == [CP1] and f"{CP3} is not; repair that first" in said[CP1]
    assert departures.depart(fleet, find, print)[0] == []
    assert site.look(CP1) is node.State.MEMBER and len(site.etcd()) == 3


def test_a_dead_one_is_removed_from_etcd_before_another_leaves(run, site):
    code, said = run(CP3, CP2, "--dry-run")
    assert code == 0 and f"{CP3} would leave talos-prod" in said and "would be removed from etcd" in said
    assert len(site.etcd()) == 3
    code, said = run(CP2, CP3)
    assert code == 0 and f"changed: {CP3}, {CP2} left" in said
    assert f"{CP3} does not answer, so it is removed from etcd" in said
    assert site.etcd() == [CP1] and not site.has(CP2) and not site.has(CP3)


def test_the_last_ends_with_its_machine(run, site):
    code, said = run(CP1, gone=(CP2, CP3))
    assert code == 0 and "unchanged: talos-prod would keep no control plane" in said
    assert site.look(CP1) is node.State.MEMBER


def test_a_cluster_that_does_not_answer_keeps_its_members(run, site):
    site.nodes.stop(CP1, signal.SIGKILL)
    code, said = run(W1, gone=(CP2, CP3))
    assert code == 1 and f"no control plane of talos-prod answers: {CP1}" in said
    assert site.look(W1) is node.State.MEMBER
