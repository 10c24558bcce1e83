"""kube-vip's manifest at a real kube-apiserver, the address that it may announce in real networks. No kube-vip runs."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from fleet.paths import PLAYBOOKS_DIR
from lab import builds, packages
from tests.helpers.vault_server import free_port

ROLE = PLAYBOOKS_DIR / "roles/k8s_ha"
SCRIPT = ROLE / "files/kube-vip-look.sh"
VARIABLES = {
    "ansible_connection": "local", "ansible_python_interpreter": sys.executable, "k8s_ha_endpoint": "10.199.0.9",
    "k8s_ha_kube_vip_image": "ghcr.io/kube-vip/kube-vip", "k8s_ha_kube_vip_version": "v1.2.3",
    "k8s_ha_kube_vip_interface": "", "the_plan": {"planes": {"k8s-a-cp01": "10.199.0.2"}},
}  # fmt: skip


@contextlib.contextmanager
def networks() -> Iterator[str]:
    """A network with this side (10.199.0.1) and another machine (10.199.0.2, and .5 besides); the name of this side."""
    here, there = (f"kv{os.getpid()}{side}" for side in "ab")

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True)

    try:
        for name in (here, there):
            ip("netns", "add", name)
        ip("-n", here, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", there)
        for name, addresses in {here: ["10.199.0.1"], there: ["10.199.0.2", "10.199.0.5"]}.items():
            for address in addresses:
                ip("-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
            for device in ("lo", "eth0"):
                ip("-n", name, "link", "set", device, "up")
        ip("-n", here, "route", "add", "default", "via", "10.199.0.2")
        yield here
    finally:
        for name in (here, there):
            subprocess.run(["ip", "netns", "delete", name], check=False)


@pytest.fixture(scope="module")
def network():
    with networks() as name:
        yield name


def inside(network: str, command: list) -> subprocess.CompletedProcess[str]:
    command = ["ip", "netns", "exec", network, *map(str, command)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(
    ("address", "planes", "said"),
    [
        ("10.199.0.9", [], ""),
        ("10.199.0.9", ["10.199.0.2", "10.199.0.8"], ""),
        ("10.199.0.2", [], "taken "),
        ("10.199.0.5", ["10.199.0.8"], "taken "),
        ("10.199.0.5", ["10.199.0.2"], ""),  # a control plane announces it already
        ("10.199.0.1", [], "own eth0"),
        ("127.0.0.1", [], "own lo"),
        ("192.0.2.9", [], "routed"),
    ],
)
def test_what_stands_at_the_address(network, tmp_path, address, planes, said):
    done = inside(network, ["/bin/bash", SCRIPT, address, tmp_path / "none/kube-vip.yaml", *planes])
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.startswith(said) and bool(done.stdout) == bool(said)


def test_its_own_address_is_not_asked_for_again(network, tmp_path):
    manifest = tmp_path / "kube-vip.yaml"
    manifest.write_text('# Written by Ansible, role k8s_ha. More.\nvalue: "10.199.0.2"\n')
    assert inside(network, ["/bin/bash", SCRIPT, "10.199.0.2", manifest]).stdout == "folder\nours\n"
    assert inside(network, ["/bin/bash", SCRIPT, "10.199.0.5", manifest]).stdout.startswith("folder\ntaken ")
    manifest.write_text('# Somebody else\'s\nvalue: "10.199.0.2"\n')
    assert inside(network, ["/bin/bash", SCRIPT, "10.199.0.2", manifest]).stdout.startswith("folder\ntaken ")


def play(
    network: str, folder: Path, *options: str, machines: dict[str, dict] | None = None, **variables
) -> subprocess.CompletedProcess[str]:
    """The role's task file on this computer, in that network: as one machine, or as each of several."""
    folder.mkdir(exist_ok=True)
    named = {name: VARIABLES | own | variables for name, own in (machines or {"k8s-a-cp02": {}}).items()}
    hosts = {"nas": {"ansible_host": "10.199.0.77"}} | named
    (folder / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts}}))
    task = {
        "ansible.builtin.import_role": {"name": "k8s_ha", "tasks_from": "kube_vip"},
        "vars": {
            "k8s_ha_plan": "{{ the_plan }}"
        },  # stronger than the role's own, which needs a plan's answer
    }
    (folder / "play.yml").write_text(
        yaml.safe_dump([{"hosts": "all:!nas", "gather_facts": False, "tasks": [task]}])
    )
    settings = [f"ANSIBLE_ROLES_PATH={PLAYBOOKS_DIR / 'roles'}", "ANSIBLE_NOCOLOR=1", "LC_ALL=C.UTF-8"]
    command = [
        Path(sys.executable).with_name("ansible-playbook"),
        folder / "play.yml",
        "-i",
        folder / "hosts.json",
    ]
    manifest = folder / "manifests/kube-vip.yaml"
    return inside(
        network, ["env", *settings, *command, "-e", f"k8s_ha_kube_vip_manifest={manifest}", *options]
    )


REFUSED = {
    "name": ({"k8s_ha_endpoint": "api.example.org"}, "is api.example.org, and kube-vip needs an IPv4 address"),
    "nothing": ({"k8s_ha_endpoint": ""}, "is empty, and kube-vip needs an IPv4 address"),
    "wrong": ({"k8s_ha_endpoint": "10.199.0.256"}, "kube-vip needs an IPv4 address"),
    "words": ({"k8s_ha_endpoint": "10.199.0.9; touch x"}, "kube-vip needs an IPv4 address"),
    "interface": ({"k8s_ha_kube_vip_interface": "eth 0"}, "k8s_ha_kube_vip_interface is an interface's name"),
    "others": ({"k8s_ha_endpoint": "10.199.0.77"}, "10.199.0.77 is the address of nas, and kube-vip would"),
    "own": ({"k8s_ha_endpoint": "10.199.0.1"}, "10.199.0.1 cannot be kube-vip's: this machine has it already"),
    "taken": ({"k8s_ha_endpoint": "10.199.0.2", "the_plan": {"planes": {}}}, "another machine answers for it ("),
}  # fmt: skip


@pytest.fixture(scope="module")
def refused(network, tmp_path_factory):
    """What became of each case, as a machine of one run."""
    folder = tmp_path_factory.mktemp("refused")
    (folder / "manifests").mkdir()
    cases = {case.replace(" ", "-"): variables for case, (variables, _) in REFUSED.items()}
    done = play(network, folder, machines=cases)
    assert done.returncode == 2 and list((folder / "manifests").iterdir()) == []
    return done.stdout


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(refused, case):
    answer = (
        refused.split(f"fatal: [{case.replace(' ', '-')}]: FAILED!")[1].split("\nfatal:")[0].split("\n\n")[0]
    )
    assert REFUSED[case][1] in " ".join(answer.split())


@pytest.fixture(scope="module")
def kubectl(tmp_path_factory):
    """kubectl at a kube-apiserver with its etcd, as an administrator."""
    builds.build(next(build for build in builds.BUILDS if build.name == "kubernetes"))
    folder, place = tmp_path_factory.mktemp("api"), builds.entry("kubernetes")
    etcd, peer, port = free_port(), free_port(), free_port()
    key = folder / "service.key"
    subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
    (folder / "tokens").write_text("a-token,admin,1,system:masters\n")
    urls = (f"http://127.0.0.1:{etcd}", f"http://127.0.0.1:{peer}")
    commands = (
        [packages.fetched("etcd"), f"--data-dir={folder / 'etcd'}", f"--listen-client-urls={urls[0]}",
         f"--advertise-client-urls={urls[0]}", f"--listen-peer-urls={urls[1]}",
         f"--initial-advertise-peer-urls={urls[1]}", f"--initial-cluster=default={urls[1]}"],
        [place / "kube-apiserver", f"--etcd-servers={urls[0]}", f"--secure-port={port}", "--bind-address=127.0.0.1",
         f"--cert-dir={folder / 'certificates'}", f"--token-auth-file={folder / 'tokens'}", "--authorization-mode=RBAC",
         "--service-account-issuer=https://kubernetes.default.svc", f"--service-account-key-file={key}",
         f"--service-account-signing-key-file={key}", "--service-cluster-ip-range=10.43.0.0/16",
         "--advertise-address=192.0.2.1", "--endpoint-reconciler-type=none"],
    )  # fmt: skip
    server = ["--server", f"https://127.0.0.1:{port}", "--token", "a-token", "--insecure-skip-tls-verify"]

    def run(*words) -> subprocess.CompletedProcess[str]:
        command = [place / "kubectl", "--kubeconfig=/dev/null", *server, *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    with contextlib.ExitStack() as stack:
        log = stack.enter_context((folder / "log").open("wb"))
        for command in commands:
            process = subprocess.Popen(list(map(str, command)), stdout=log, stderr=log)
            stack.callback(process.wait)
            stack.callback(process.kill)
        end = time.monotonic() + 120
        # The last that the API server makes by itself of what a dry run looks at.
        while run("-n", "kube-system", "get", "priorityclass", "system-node-critical").returncode:
            assert process.poll() is None and time.monotonic() < end, (folder / "log").read_text()[-3000:]
            time.sleep(0.3)
        yield run


def test_the_manifest_is_accepted_and_written_once(network, tmp_path, kubectl):
    dry = play(network, tmp_path, "--check")
    assert dry.returncode == 0, dry.stdout  # a machine on which K3s is not there yet
    (tmp_path / "manifests").mkdir()
    assert "changed=1" in play(network, tmp_path, "--check").stdout
    manifest = tmp_path / "manifests/kube-vip.yaml"
    assert not manifest.exists()
    first = play(network, tmp_path, k8s_ha_kube_vip_interface="eth0")
    assert first.returncode == 0 and "changed=1" in first.stdout, first.stdout + first.stderr
    assert manifest.stat().st_mode & 0o777 == 0o600
    second = play(network, tmp_path, k8s_ha_kube_vip_interface="eth0")
    assert second.returncode == 0 and "changed=0" in second.stdout, second.stdout
    done = kubectl("apply", "--dry-run=server", "--validate=strict", "-f", manifest)
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == [
        "serviceaccount/kube-vip", "role.rbac.authorization.k8s.io/kube-vip",
        "rolebinding.rbac.authorization.k8s.io/kube-vip", "clusterrole.rbac.authorization.k8s.io/kube-vip",
        "clusterrolebinding.rbac.authorization.k8s.io/kube-vip", "daemonset.apps/kube-vip",
    ]  # fmt: skip
    # And the server does refuse one that is wrong.
    manifest.write_text(manifest.read_text().replace("hostNetwork:", "hostNetworks:"))
    assert kubectl("apply", "--dry-run=server", "--validate=strict", "-f", manifest).returncode != 0


def test_it_may_hold_its_lease_and_no_other(network, tmp_path, kubectl):
    (tmp_path / "manifests").mkdir()
    assert play(network, tmp_path).returncode == 0
    assert kubectl("apply", "-f", tmp_path / "manifests/kube-vip.yaml").returncode == 0

    def may(*words: str) -> bool:
        user = "--as=system:serviceaccount:kube-system:kube-vip"
        return kubectl("auth", "can-i", *words, user, "-n", "kube-system").stdout.strip() == "yes"

    lease = "leases.coordination.k8s.io"
    assert may("update", f"{lease}/kube-vip-control-plane") and may("create", lease) and may("list", "nodes")
    assert not may("update", f"{lease}/kube-scheduler") and not may("get", "secrets")
