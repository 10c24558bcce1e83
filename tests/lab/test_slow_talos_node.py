"""The stand-in for Talos as the real talosctl sees it: one node from nothing, then a cluster of several."""

import hashlib
import json
import signal
import subprocess
from pathlib import Path

import pytest

from tests.helpers import talos
from tests.helpers.talos import Nodes, wait

CLUSTER = "talos-prod"
SHARED = f"{talos.NETWORK}.100"
SHARE = f"---\napiVersion: v1alpha1\nkind: Layer2VIPConfig\nname: {SHARED}\nlink: eth0\n"
WIPE = ("--system-labels-to-wipe=STATE", "--system-labels-to-wipe=EPHEMERAL")


def made(nodes: Nodes, *patches: str) -> dict[str, Path]:
    """Secrets and the configurations of talosctl for a cluster whose endpoint is the first node: by their types."""
    folder, endpoint = nodes.folder, f"https://{talos.NETWORK}.11:6443"
    if not (folder / "secrets.yaml").exists():
        assert nodes.talosctl("gen", "secrets", "-o", str(folder / "secrets.yaml")).returncode == 0
    options = [f"--with-secrets={folder}/secrets.yaml", f"--output={folder}", "--force",
               "--with-docs=false", "--with-examples=false",
               "--kubernetes-version=1.34.4", *(f"--config-patch={patch}" for patch in patches)]  # fmt: skip
    done = nodes.talosctl("gen", "config", CLUSTER, endpoint, *options)
    assert done.returncode == 0, done.stderr
    return {kind: folder / f"{kind}.yaml" for kind in ("controlplane", "worker")}


def named(file: Path, name: str) -> Path:
    """The configuration for one node: with its name, and not one that the node makes up."""
    shared = SHARE if "cp" in name else ""
    text = file.read_text()
    assert text.count("auto: stable\n") == 1
    path = file.with_name(f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}.yaml")
    path.write_text(text.replace("auto: stable\n", f"auto: off\nhostname: {name}\n") + shared)
    return path


def call(nodes: Nodes, name: str, *arguments: str) -> str:
    """talosctl's output for one node; AssertionError if it fails."""
    done = nodes.talosctl(f"--nodes={nodes.address[name]}", f"--endpoints={nodes.address[name]}", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def refused(nodes: Nodes, name: str, *arguments: str) -> str:
    done = nodes.talosctl(f"--nodes={nodes.address[name]}", f"--endpoints={nodes.address[name]}", *arguments)
    assert done.returncode == 1, done.stdout
    return done.stderr


def answers(nodes: Nodes, name: str) -> bool:
    """Whether the node's API accepts the certificates of the cluster."""
    address = nodes.address[name]
    return nodes.talosctl(f"--nodes={address}", f"--endpoints={address}", "version").returncode == 0


def has_runtime(nodes: Nodes, name: str) -> bool:
    """Whether the node is far enough to be bootstrapped."""
    address = nodes.address[name]
    done = nodes.talosctl(f"--nodes={address}", f"--endpoints={address}", "services")
    return "cri        Running" in done.stdout


def configure(nodes: Nodes, name: str, file: Path) -> None:
    """A new node, as a playbook makes it one of the cluster."""
    address = nodes.start(name)
    wait(lambda: "maintenance mode" in nodes.log(name))
    done = nodes.talosctl("apply-config", "--insecure", f"--nodes={address}", f"--file={named(file, name)}")
    assert done.returncode == 0, done.stderr


def members(nodes: Nodes, name: str) -> list[str]:
    """The names of etcd's members, a learner's with a star."""
    lines = call(nodes, name, "etcd", "members").splitlines()[1:]
    return sorted(f"{line.split()[2]}{'*' if line.split()[-1] == 'true' else ''}" for line in lines)


def kubernetes_nodes(nodes: Nodes, kubeconfig: str) -> dict[str, tuple[str, bool]]:
    """The Nodes by name: whether Ready, and whether unschedulable."""
    done = nodes.kubectl(kubeconfig, "get", "nodes", "-o", "json")
    assert done.returncode == 0, done.stderr
    found = {}
    for item in json.loads(done.stdout)["items"]:
        ready = next(c["status"] for c in item["status"].get("conditions", []) if c["type"] == "Ready")
        found[item["metadata"]["name"]] = (ready, item["spec"].get("unschedulable", False))
    return found


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    with talos.nodes(tmp_path_factory.mktemp("talos")) as found:
        yield found


@pytest.fixture(scope="module")
def first(nodes) -> str:
    """One control plane node, bootstrapped; what is refused on the way is tested here, since it is there only once."""
    name, files = "talos-prod-cp01", made(nodes)
    address = nodes.start(name)
    insecure = ("apply-config", "--insecure", f"--nodes={address}")
    wait(lambda: "maintenance mode" in nodes.log(name))

    broken = nodes.folder / "broken.yaml"
    broken.write_text("machine:\n  type: boss\n")
    assert 'unknown machine type "boss"' in nodes.talosctl(*insecure, f"--file={broken}").stderr
    dry = nodes.talosctl(*insecure, f"--file={files['controlplane']}", "--dry-run")
    assert "running in maintenance mode and does not have a config yet" in dry.stderr
    assert (
        "not implemented in maintenance mode" in nodes.talosctl("version", "--insecure", "-n", address).stderr
    )
    assert "certificate signed by unknown authority" in refused(nodes, name, "bootstrap")

    configure_again = named(files["controlplane"], name)
    assert nodes.talosctl(*insecure, f"--file={configure_again}").returncode == 0
    wait(lambda: answers(nodes, name))
    assert "bootstrap is not available yet" in refused(nodes, name, "bootstrap")
    assert "code = Unavailable" in nodes.talosctl(*insecure, f"--file={configure_again}").stderr
    wait(lambda: has_runtime(nodes, name))
    call(nodes, name, "bootstrap")
    assert readyz(nodes, SHARED) == "000"  # held only with a quorum of etcd
    return name


@pytest.fixture(scope="module")
def kubeconfig(nodes, first) -> str:
    return call(nodes, first, "kubeconfig", "-")


def test_the_first_node_becomes_healthy(nodes, first, kubeconfig):
    told = call(nodes, first, "health", f"--control-plane-nodes={nodes.address[first]}", "--wait-timeout=90s")
    assert "waiting for all k8s nodes to report ready: OK" in told
    assert kubernetes_nodes(nodes, kubeconfig) == {first: ("True", False)}
    assert members(nodes, first) == [first]


def test_a_cluster_is_bootstrapped_once(nodes, first):
    assert "etcd data directory is not empty" in refused(nodes, first, "bootstrap")


def readyz(nodes: Nodes, address: str) -> str:
    """The status of an API server's answer to somebody without credentials; 000 without an answer."""
    url = f"https://{address}:6443/readyz"
    argv = ["curl", "-sk", "--max-time", "2", "-o", "/dev/null", "-w", "%{http_code}", url]
    return subprocess.run(nodes.inside(argv), capture_output=True, text=True).stdout


def test_without_credentials_kubernetes_refuses_and_lives(nodes, first):
    assert readyz(nodes, nodes.address[first]) == "401"


def test_a_change_shows_as_a_difference_and_is_applied(nodes, first):
    same = named(made(nodes)["controlplane"], first)
    assert "No changes." in call(nodes, first, "apply-config", "--dry-run", f"--file={same}")
    changed = named(
        made(nodes, '{"machine": {"sysctls": {"vm.max_map_count": "262144"}}}')["controlplane"], first
    )
    dry = call(nodes, first, "apply-config", "--dry-run", f"--file={changed}")
    assert "+        vm.max_map_count" in dry and "without a reboot (skipped in dry-run)" in dry
    assert "without a reboot" in call(nodes, first, "apply-config", f"--file={changed}")
    # Somebody else changes it by hand: what was applied last shows as the difference.
    patch = '{"machine": {"sysctls": {"vm.max_map_count": "1"}}}'
    call(nodes, first, "patch", "machineconfig", f"--patch={patch}")
    assert '-        vm.max_map_count: "1"' in call(
        nodes, first, "apply-config", "--dry-run", f"--file={changed}"
    )
    call(nodes, first, "apply-config", f"--file={same}")
    assert "No changes." in call(nodes, first, "apply-config", "--dry-run", f"--file={same}")


def test_a_trial_of_a_configuration_ends_by_itself(nodes, first):
    same = named(made(nodes)["controlplane"], first)
    changed = named(made(nodes, '{"machine": {"sysctls": {"a": "1"}}}')["controlplane"], first)
    call(nodes, first, "apply-config", "--mode=try", "--timeout=2s", f"--file={changed}")
    assert "No changes." in call(nodes, first, "apply-config", "--mode=try", "--dry-run", f"--file={changed}")
    # Asked in another mode, Talos would end the trial, and keep its configuration.
    wait(
        lambda: (
            "No changes." in call(nodes, first, "apply-config", "--mode=try", "--dry-run", f"--file={same}")
        ),
        20,
    )


def test_a_wrong_configuration_is_refused_by_the_node_in_its_own_words(nodes, first):
    wrong = named(made(nodes, '{"machine": {"nodeLabels": {"a b": "c"}}}')["controlplane"], first)
    assert '* name "a b" is invalid' in refused(nodes, first, "apply-config", f"--file={wrong}")


def test_a_change_of_what_is_read_at_boot_needs_a_reboot(nodes, first):
    changed = named(made(nodes, '{"machine": {"env": {"LANG": "C"}}}')["controlplane"], first)
    assert "can't be applied in immediate mode" in refused(
        nodes, first, "apply-config", "--mode=no-reboot", f"--file={changed}"
    )
    assert "with a reboot" in call(nodes, first, "apply-config", "--dry-run", f"--file={changed}")


def test_more_nodes_join(nodes, first, kubeconfig):
    files = made(nodes)
    for name in ("talos-prod-cp02", "talos-prod-cp03"):
        configure(nodes, name, files["controlplane"])
    configure(nodes, "talos-prod-w01", files["worker"])
    wait(lambda: answers(nodes, "talos-prod-w01"))
    assert "only be performed on a control plane node" in (
        wait(lambda: has_runtime(nodes, "talos-prod-w01")) or refused(nodes, "talos-prod-w01", "bootstrap")
    )
    lists = (
        f"--control-plane-nodes={','.join(nodes.address[f'talos-prod-cp0{n}'] for n in (1, 2, 3))}",
        f"--worker-nodes={nodes.address['talos-prod-w01']}",
    )
    call(nodes, first, "health", *lists, "--wait-timeout=120s")
    assert members(nodes, "talos-prod-cp03") == [first, "talos-prod-cp02", "talos-prod-cp03"]
    assert set(kubernetes_nodes(nodes, kubeconfig)) == set(nodes.address)
    # A control plane node passes a call on, a worker does not.
    worker = nodes.address["talos-prod-w01"]
    via = nodes.talosctl(f"--endpoints={nodes.address[first]}", f"--nodes={worker}", "version")
    assert f"NODE:        {worker}" in via.stdout
    via = nodes.talosctl(f"--endpoints={worker}", f"--nodes={nodes.address[first]}", "version")
    assert "no request forwarding" in via.stderr
    assert "kubeconfig is only available on control plane nodes" in refused(
        nodes, "talos-prod-w01", "kubeconfig", "-"
    )


def test_the_shared_address_moves_when_its_holder_loses_power(nodes, first, kubeconfig):
    holder = next(name for name in nodes.address if "holds the shared address" in nodes.log(name))
    server = ("--server", f"https://{SHARED}:6443")
    assert (
        nodes.kubectl(kubeconfig, *server, "get", "nodes").returncode == 0
    )  # its certificate names the address
    nodes.stop(holder, signal.SIGKILL)
    wait(lambda: readyz(nodes, SHARED) == "401", 20)
    nodes.start(holder)
    wait(lambda: answers(nodes, holder))


def test_a_member_whose_power_fails_comes_back(nodes, first, kubeconfig):
    nodes.stop("talos-prod-cp03", signal.SIGKILL)
    told = refused(nodes, first, "health", "--wait-timeout=4s",
                   f"--control-plane-nodes={nodes.address[first]},{nodes.address['talos-prod-cp03']}")  # fmt: skip
    assert nodes.address["talos-prod-cp03"] in told and "DeadlineExceeded" in told
    assert "talos-prod-cp03" in members(nodes, first)
    nodes.start("talos-prod-cp03")
    wait(lambda: answers(nodes, "talos-prod-cp03"))
    wait(lambda: "etcd       Running   OK" in call(nodes, "talos-prod-cp03", "services"))


def test_an_upgrade_takes_an_installer_image_and_comes_back_with_its_release(nodes, first, kubeconfig):
    assert "error validating installer image" in refused(nodes, first, "upgrade", "--image=nginx:latest")
    call(nodes, "talos-prod-cp02", "upgrade", "--image=ghcr.io/siderolabs/installer:v1.12.1", "--timeout=60s")
    assert "Tag:         v1.12.1" in call(nodes, "talos-prod-cp02", "version")
    wait(lambda: kubernetes_nodes(nodes, kubeconfig)["talos-prod-cp02"] == ("True", False))
    assert members(nodes, first) == [first, "talos-prod-cp02", "talos-prod-cp03"]


def test_a_node_that_is_reset_has_left_etcd_and_waits_for_a_configuration(nodes, first):
    name = "talos-prod-cp03"
    call(nodes, name, "reset", "--reboot", *WIPE, "--timeout=60s")
    assert members(nodes, first) == [first, "talos-prod-cp02"]
    assert "maintenance mode" in nodes.log(name).splitlines()[-1]
    configure_again = named(made(nodes)["controlplane"], name)
    done = nodes.talosctl(
        "apply-config", "--insecure", f"--nodes={nodes.address[name]}", f"--file={configure_again}"
    )
    assert done.returncode == 0, done.stderr
    wait(lambda: members(nodes, first) == [first, "talos-prod-cp02", name])


def test_a_worker_that_is_reset_whole_boots_no_more(nodes):
    name = "talos-prod-w01"
    call(nodes, name, "reset", "--timeout=60s")
    nodes.processes.pop(name).wait(30)
    nodes.start(name)
    wait(lambda: "no bootable device" in nodes.log(name))
    assert not answers(nodes, name)


def test_a_lost_cluster_is_recovered_from_a_snapshot(nodes, first, kubeconfig):
    controls = [name for name in nodes.address if "cp" in name]
    assert nodes.kubectl(kubeconfig, "create", "namespace", "precious").returncode == 0
    snapshot = nodes.folder / "db.snapshot"
    call(nodes, first, "etcd", "snapshot", str(snapshot))
    booted = {name: nodes.log(name).count(": talos-prod") for name in controls}
    for name in controls:  # all at once lose etcd's data
        call(nodes, name, "reset", "--graceful=false", "--reboot", WIPE[1], "--wait=false")
    for name in controls:
        wait(
            lambda name=name: (
                nodes.log(name).count(": talos-prod") > booted[name] and has_runtime(nodes, name)
            )
        )
    call(nodes, first, "bootstrap", f"--recover-from={snapshot}")
    wait(lambda: nodes.kubectl(kubeconfig, "get", "namespace", "precious").returncode == 0)
    wait(lambda: members(nodes, first) == controls)
