"""The playbook talos.yml on nodes of the lab's stand-in, with the real talosctl and a real Vault: good and bad days.

The nodes and Vault are in a network of their own, and so is this thread. The tests build on each other, in their order.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.paths import PROXMOX_DIR
from fleet.talos import bundle, configure, node, settings, talosctl
from fleet.talos.bundle import Bundle
from fleet.talos.cluster import Cluster
from fleet.vault.secret import Secret
from tests.helpers import talos, vault_server
from tests.helpers.talos import Nodes, entered
from tests.talos.conftest import GIVEN

CP, W1, W2 = "talos-prod-cp01", "talos-prod-w01", "talos-prod-w02"
ANSIBLE = Path(sys.executable).with_name("ansible-playbook")


class Site:
    """Nodes, a Vault, and the inventory that the playbook is run with."""

    def __init__(self, nodes: Nodes, vault: vault_server.Vault, folder: Path):
        self.nodes, self.vault, self.inventory = nodes, vault, folder / "k8s.ini"
        self.variables: dict[str, str] = {"talos_timeout": "120"}

    def start(self, name: str, *options: str) -> None:
        self.nodes.start(name, *options)
        groups: dict[str, list[str]] = {"talos_control_plane": [], "talos_workers": []}
        for one in self.nodes.address:
            groups["talos_control_plane" if "-cp" in one else "talos_workers"].append(one)
        lines = [line for group, names in groups.items() for line in (f"[{group}]", *names)]
        hosts = [f"{one} ansible_host={address}" for one, address in self.nodes.address.items()]
        self.inventory.write_text("\n".join([*lines, "[all]", *hosts]) + "\n")

    def command(self, *names: str, **variables: str) -> list[str]:
        given = self.variables | {"target_hosts": ",".join(names)} | variables
        extra = [word for pair in given.items() for word in ("-e", "=".join(pair))]
        return [str(ANSIBLE), "playbooks/talos.yml", "-i", str(self.inventory), *extra]

    def environment(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
        return clean | {
            "ANSIBLE_NOCOLOR": "1", "VAULT_ADDR": self.vault.url, "VAULT_TOKEN": self.vault.token,
            "TALOSCTL": str(self.nodes.talosctl_program),
        }  # fmt: skip

    def play(
        self, *names: str, more: tuple[str, ...] = (), env: dict[str, str] | None = None, **variables: str
    ):
        """One run: what it printed, and the number of changes of each machine; None for one that failed."""
        done = subprocess.run(
            [*self.command(*names, **variables), *more], cwd=PROXMOX_DIR, env=self.environment() | (env or {}),
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=500,
        )  # fmt: skip
        recap = re.findall(r"^(talos-\S+) +: .*changed=(\d+) .*failed=(\d+)", done.stdout, re.MULTILINE)
        said = done.stdout + done.stderr
        assert self.vault.token not in said
        return said, {name: None if int(failed) else int(changed) for name, changed, failed in recap}

    def cluster(self, **changed) -> Cluster:
        given = GIVEN | {"machines": dict(self.nodes.address)} | changed
        return settings.parse(json.dumps(given), CP)

    def secrets(self) -> Bundle:
        store = Secret("cluster-bootstrap/talos-prod", self.vault.url, self.vault.token)
        return bundle.read(store.read().data, store.place)

    def ctl(self) -> talosctl.Talosctl:
        return talosctl.Talosctl(str(self.nodes.talosctl_program))

    def look(self, name: str) -> node.Seen:
        return node.look(self.ctl(), self.secrets().talosconfig, self.cluster().node(name))

    def kubectl(self, *arguments: str) -> str:
        done = self.nodes.kubectl(self.vault.read()[0]["KUBECONFIG"], "--context=talos-prod", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def etcd(self) -> list[str]:
        first = self.cluster().node(CP)
        return [
            member.id for member in node.etcd_members(self.ctl(), self.secrets().talosconfig, first) or ()
        ]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("talos")
    with talos.nodes(folder) as nodes, entered(nodes), vault_server.running() as vault:
        yield Site(nodes, vault, folder)


def test_without_vault_no_machine_gets_a_configuration(site: Site):
    site.start(CP)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        said, changes = site.play(CP, env={"VAULT_ADDR": f"http://127.0.0.1:{closed.getsockname()[1]}"})
    assert changes == {CP: None}
    assert "cannot reach http://127.0.0.1" in said
    assert "apply" not in site.nodes.log(CP)


def test_a_dry_run_of_a_new_cluster_changes_nothing(site: Site):
    said, changes = site.play(CP, more=("--check",))
    assert f"{CP} has no configuration yet and would get one" in said
    assert changes[CP], said
    assert "apply" not in site.nodes.log(CP)
    with pytest.raises(AssertionError, match="404"):
        site.vault.request("GET", "kv/data/cluster-bootstrap/talos-prod")


def test_a_run_that_was_killed_after_the_bootstrap_is_repeated(site: Site):
    site.start(W1)
    with subprocess.Popen(
        site.command(CP, W1), cwd=PROXMOX_DIR, env=site.environment(), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        seen = ""
        for line in process.stdout:
            seen += line
            if "Run the stage kubeconfig" in line:
                break
        os.killpg(process.pid, signal.SIGKILL)
    assert f"{CP} starts etcd" in seen
    talos.wait(site.etcd)
    members = site.etcd()
    first, worker = (site.cluster().node(name) for name in (CP, W1))
    assert node.runs_etcd(site.ctl(), site.secrets().talosconfig, first)
    assert not node.runs_etcd(site.ctl(), site.secrets().talosconfig, worker)
    said, changes = site.play(CP, W1)
    assert None not in changes.values(), said
    assert f"changed: {CP} starts etcd" not in said
    assert site.etcd() == members
    nodes = site.kubectl("get", "nodes", "-o", "name").split()
    assert nodes == [f"node/{CP}", f"node/{W1}"]
    site.kubectl("create", "namespace", "external-secrets")
    site.kubectl("-n", "external-secrets", "create", "serviceaccount", "external-secrets")
    account = ("-n", "external-secrets", "create", "token", "external-secrets", "--audience=vault")
    login = {"role": "external-secrets", "jwt": site.kubectl(*account).strip()}
    assert site.vault.request("POST", "auth/clusters/talos-prod/login", login)["auth"]["policies"] == [
        "workloads"
    ]


def test_the_second_run_sends_nothing(site: Site):
    logs = {name: site.nodes.log(name).count("apply config request") for name in (CP, W1)}
    version = site.vault.read()[1]
    said, changes = site.play(CP, W1)
    assert changes == {CP: 0, W1: 0}, said
    assert {name: site.nodes.log(name).count("apply config request") for name in (CP, W1)} == logs
    assert site.vault.read()[1] == version


def test_the_nightly_run_renews_what_ends_and_nothing_else(site: Site):
    renew = [word.replace("talos.yml", "renew.yml") for word in site.command(CP, W1)]
    done = subprocess.run(
        renew, cwd=PROXMOX_DIR, env=site.environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert (
        "unchanged: kv/cluster-bootstrap/talos-prod: nothing new; context talos-prod in Vault is good;"
        " auth/clusters/talos-prod: nothing new" in done.stdout
    )
    assert site.vault.token not in done.stdout


def test_a_configuration_that_was_changed_by_hand_is_told_without_values_and_corrected(site: Site):
    cluster = site.cluster(patches=[{"machine": {"env": {"http_proxy": "http://u:hunter2@10.0.0.9"}}}])
    secrets, ctl, member = site.secrets(), site.ctl(), cluster.node(W1)
    text = configure.make_config(cluster, member, secrets, cluster.kubernetes, ctl)
    done = ctl.ask(secrets.talosconfig, member, "apply-config", "--file", talosctl.Text(text))
    assert done.code == 0, done.problem
    said, changes = site.play(W1, more=("--check",))
    assert changes == {W1: 1}
    assert "http_proxy: …" in said
    assert "hunter2" not in said
    said, changes = site.play(W1)
    assert changes == {W1: 1}, said
    assert "hunter2" not in said
    assert site.play(W1)[1] == {W1: 0}


def test_a_machine_of_another_cluster_is_refused(site: Site):
    name = "talos-prod-w09"
    site.start(name)
    cluster, ctl = site.cluster(), site.ctl()
    other = bundle._make(cluster, ctl)
    member = cluster.node(name)
    text = configure.make_config(cluster, member, other, cluster.kubernetes, ctl)
    talos.wait(lambda: site.look(name).state is node.State.MAINTENANCE)
    assert ctl.ask_insecure(member, "apply-config", "--file", talosctl.Text(text)).code == 0
    talos.wait(lambda: site.look(name).state is not node.State.MAINTENANCE)
    before = site.nodes.log(name).count("apply")
    # It has no control plane to give it a certificate, so it is silent rather than foreign.
    said, changes = site.play(name, talos_timeout="10")
    assert changes == {name: None}
    assert re.search(
        rf"{name} \({member.address}\) (is not answering|has a configuration, but not one of)", said
    )
    assert site.nodes.log(name).count("apply") == before
    site.nodes.stop(name)  # and it stays in the inventory, where it holds nobody up


def test_another_version_of_talosctl_is_refused(site: Site):
    said, changes = site.play(CP, talos_version="v1.12.1")
    assert changes == {CP: None}
    assert "is v1.12.0, and talos_version is v1.12.1" in said
    assert "releases/tag/v1.12.1" in said


def test_a_worker_that_is_added_with_an_older_image_is_upgraded_and_nobody_else_touched(site: Site):
    site.start(W2, "--version=v1.11.5")
    said, changes = site.play(W2)
    assert changes[W2], said
    assert set(changes) == {W2}
    assert f"{W2} was upgraded from Talos v1.11.5 to v1.12.0" in said
    assert str(site.look(W2).version) == "v1.12.0"
    assert f"node/{W2}" in site.kubectl("get", "nodes", "-o", "name")
    assert site.play(CP, W1, W2)[1] == {CP: 0, W1: 0, W2: 0}


def test_a_cluster_that_lost_all_control_planes_is_not_started_anew(site: Site):
    site.nodes.stop(CP, signal.SIGKILL)
    (site.nodes.folder / CP).rename(site.nodes.folder / "lost")
    site.start(CP)
    time.sleep(1)
    said, changes = site.play(CP, talos_timeout="20")
    assert changes == {CP: None}
    assert "was started before, since Vault has its kubeconfig, and no control plane has an etcd" in said
    assert "bootstrap --recover-from=db.snapshot" in said
    assert site.etcd() == []
