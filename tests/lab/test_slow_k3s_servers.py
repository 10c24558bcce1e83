"""Clusters of the K3s stand-in on machines with systemd: the install script, units, and machines that stop.

The tests build on each other in their order.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.plays import Machine, api, running

CP01, CP02, CP03, W01 = MACHINES = tuple(
    Machine(f"k8s-prod-{name}", f"192.168.1.{41 + number}", 141 + number)
    for number, name in enumerate(("cp01", "cp02", "cp03", "w01"))
)
URL = f"https://{CP01.address}:6443"
CONFIG = "/etc/rancher/k3s/config.yaml"
SCRIPT = "curl -sf http://192.168.1.1:8080/install.sh | sudo env "
KUBECTL = "sudo /usr/local/bin/kubectl "


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory) -> Iterator[Path]:
    with running(tmp_path_factory.mktemp("k3s"), MACHINES, ("proxmox", "k3s")) as made:
        yield made


def configure(node: Machine, text: str) -> None:
    node.ssh(
        f"sudo mkdir -p {Path(CONFIG).parent}; echo '{text}' | sudo tee {CONFIG} >/dev/null; sudo chmod 600 {CONFIG}"
    )


def joined(node: Machine, **settings: str) -> None:
    """Installed as the role does it: without a start, which would block for as long as the server is not ready."""
    given = " ".join(
        f"{name}={value}" for name, value in {"INSTALL_K3S_SKIP_START": "true", **settings}.items()
    )
    node.ssh(f"{SCRIPT}{given} sh -s - server")
    node.ssh("sudo systemctl start --no-block k3s")
    active(node, "k3s")


def active(node: Machine, unit: str, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while (state := node.ssh(f"systemctl is-active {unit}", check=False)) != "active":
        assert time.monotonic() < end, f"{state}: {node.ssh(f'sudo journalctl -u {unit} -n 20 --no-pager')}"
        time.sleep(1)


def states(asked: Machine) -> dict[str, str]:
    lines = asked.ssh(KUBECTL + "get nodes --no-headers", check=False).splitlines()
    return {line.split()[0]: line.split()[1] for line in lines if line.startswith("k8s-")}


def become(asked: Machine, wanted: dict[str, str], seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while (found := states(asked)) != wanted:
        assert time.monotonic() < end, found
        time.sleep(1)


def members(node: Machine) -> list[str]:
    tls = "/var/lib/rancher/k3s/server/tls/etcd"
    asked = f"--cacert={tls}/server-ca.crt --cert={tls}/client.crt --key={tls}/client.key"
    lines = node.ssh(f"sudo etcdctl --endpoints=https://127.0.0.1:2379 {asked} member list").splitlines()
    assert all(line.endswith("started, false") or line.endswith(", false") for line in lines), lines
    return sorted(line.split(", ")[2].rpartition("-")[0] for line in lines)


def all_ready() -> dict[str, str]:
    return dict.fromkeys((one.name for one in MACHINES), "Ready")


def test_three_servers_and_an_agent():
    configure(CP01, "cluster-init: true\ntoken: short")
    joined(CP01)
    token = CP01.ssh("sudo cat /var/lib/rancher/k3s/server/token")
    for one in (CP02, CP03):
        configure(one, f"server: {URL}\ntoken: {token}")
        joined(one)
    configure(W01, f"token: {token}")
    W01.ssh(f"{SCRIPT}K3S_URL={URL} K3S_TOKEN={token} sh -")
    assert W01.ssh("systemctl is-active k3s-agent; ls /etc/systemd/system/k3s*.service") == (
        "active\n/etc/systemd/system/k3s-agent.service"
    )
    become(CP02, all_ready())
    assert members(CP01) == [CP01.name, CP02.name, CP03.name]
    assert int(W01.ssh(f"sudo stat -c %a {CONFIG}")) == 600


def test_the_script_restarts_only_what_changed():
    before = CP02.ssh("systemctl show k3s -P MainPID")
    assert "No change detected so skipping service start" in CP02.ssh(f"{SCRIPT}A=b sh -s - server")
    assert CP02.ssh("systemctl show k3s -P MainPID") == before
    CP02.ssh(f"{SCRIPT}INSTALL_K3S_FORCE_RESTART=true INSTALL_K3S_SKIP_DOWNLOAD=true sh -s - server")
    assert CP02.ssh("systemctl show k3s -P MainPID") != before
    # As an upgrade: the unit runs another version, and the cluster says so.
    CP02.ssh(f"{SCRIPT}INSTALL_K3S_VERSION=v1.34.5+k3s1 sh -s - server")
    said = CP02.ssh(KUBECTL + f"get node {CP02.name} -o 'jsonpath={{.status.nodeInfo.kubeletVersion}}'")
    assert said == "v1.34.5+k3s1"
    assert members(CP01) == [CP01.name, CP02.name, CP03.name]


def test_a_machine_that_stops_and_comes_back():
    api("POST", f"nodes/node01/qemu/{CP01.vmid}/status/stop")
    become(CP03, all_ready() | {CP01.name: "NotReady"})
    CP03.ssh(KUBECTL + "create configmap meanwhile")
    api("POST", f"nodes/node01/qemu/{CP01.vmid}/status/start")
    become(CP03, all_ready(), 180)
    assert CP01.ssh(KUBECTL + "get configmap meanwhile -o name") == "configmap/meanwhile"


def test_a_start_blocks_as_long_as_nothing_can_be_joined():
    """The unit tells systemd that it is ready only then."""
    W01.ssh("sudo k3s-agent-uninstall.sh", check=False)
    left = "sudo find /usr/local/bin /var/lib/rancher /etc/rancher/k3s /etc/systemd/system/k3s* ! -type d"
    assert W01.ssh(f"{left} 2>/dev/null", check=False) == ""
    unreachable = "K3S_URL=https://192.168.1.99:6443 K3S_TOKEN=short"
    W01.ssh(f"{SCRIPT}{unreachable} INSTALL_K3S_SKIP_START=true sh -")
    assert W01.ssh("timeout 10 sudo systemctl start k3s-agent; echo $?", check=False) == "124"
    assert W01.ssh("systemctl is-active k3s-agent", check=False) == "activating"
    assert "failed to get CA certs" in W01.ssh("sudo journalctl -u k3s-agent --no-pager")


def test_uninstalling_a_server_leaves_its_node_which_has_to_be_deleted():
    CP03.ssh("sudo k3s-uninstall.sh", check=False)
    assert members(CP01) == [CP01.name, CP02.name, CP03.name]
    CP01.ssh(KUBECTL + f"delete node {CP03.name} --timeout=60s")
    assert members(CP01) == [CP01.name, CP02.name]
