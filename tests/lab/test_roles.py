"""The playbooks on machines of the lab: from new machines to a second run, and what a person does in between.

The tests build on each other in their order. The machines are made through Proxmox's API, without Terraform.
"""

import base64
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import lab as laboratory
from lab import user, vault
from tests.helpers.plays import Machine, Play, api, device, running

DEV, PROD, HAPROXY = "k8s-dev", "k8s-prod", "haproxy-dev"
MACHINES = (
    Machine(DEV, "192.168.1.20", 120, {"scsi1": "/mnt/storage"}),
    Machine(PROD, "192.168.1.21", 121, {"scsi1": "/mnt/storage"}),
    Machine(HAPROXY, "192.168.1.30", 130),
)
DISK = device()
ADDRESS = {one.name: one.address for one in MACHINES}
VMID = {one.name: one.vmid for one in MACHINES}
PASSWORD, NEWER = "stats-password-of-the-lab", "v1.34.5+k3s1"


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Iterator[Path]:
    """A lab of its own with three new machines; the home folder of who runs the playbooks."""
    with running(tmp_path_factory.mktemp("roles"), MACHINES) as made:
        yield made


def ssh(name: str, command: str, check: bool = True) -> str:
    return user.ssh(ADDRESS[name], command, check=check)


def readyz(name: str) -> str:
    try:
        return user.kubectl(name, "get", "--raw", "/readyz")
    except laboratory.LabError as error:
        return str(error)


def both(home: Path, *options: str, **env: str) -> tuple[Play, Play]:
    """The playbooks on all three machines, at the same time as it happens when they are two jobs."""
    env |= {"HAPROXY_STATS_PASSWORD": PASSWORD}
    with ThreadPoolExecutor() as pool:
        k8s = pool.submit(Play, home, "k8s", f"{DEV},{PROD}", *options, **env)
        haproxy = pool.submit(Play, home, "haproxy", HAPROXY, *options, **env)
        return k8s.result(), haproxy.result()


def test_checking_new_machines_changes_nothing(home: Path):
    assert all(play.changed() > 0 for play in both(home, "--check"))
    assert ssh(DEV, f"ls /usr/local/bin; sudo blkid {DISK}; grep mnt /etc/fstab", check=False) == ""
    assert ssh(HAPROXY, "ls /etc/haproxy", check=False) == ""


def test_first_run(home: Path):
    assert all(play.changed() > 0 for play in both(home, "-vvv"))
    for name in (DEV, PROD):
        assert readyz(name) == "ok"
        assert "kube-system" in user.kubectl(name, "get", "namespaces")
        assert "--default-local-storage-path=/mnt/storage" in ssh(name, "systemctl show k3s -P ExecStart")
        assert ssh(name, "sudo stat -c %a /etc/rancher/k3s/k3s.yaml") == "600"
    assert re.search(r"^UUID=\S+ /mnt/storage ext4 ", ssh(DEV, "cat /etc/fstab"), re.MULTILINE)


def test_haproxy_balances_the_api():
    # Two clusters behind one port: each accepts only its own credentials, so one of two answers is good.
    server = [f"--server=https://{ADDRESS[HAPROXY]}:6443", "--insecure-skip-tls-verify"]
    answers = [user.kubectl(DEV, *server, "get", "--raw", "/version", check=False) for _ in range(4)]
    assert any("gitVersion" in answer for answer in answers)
    status = ssh(HAPROXY, f"curl -s -u admin:{PASSWORD} 'http://127.0.0.1:8404/stats;csv'")
    up = [line.split(",")[1] for line in status.splitlines() if ",UP," in line]
    assert {DEV, PROD} <= set(up)
    assert "401" in ssh(HAPROXY, "curl -si http://127.0.0.1:8404/stats | head -1")


@pytest.mark.parametrize("options", [(), ("--check",)])
def test_second_run_changes_nothing(home: Path, options: tuple[str, ...]):
    version = user.kubeconfig()[1]
    assert [play.changed() for play in both(home, *options)] == [0, 0]
    assert user.kubeconfig()[1] == version


def test_what_is_undone_by_hand_is_done_again(home: Path):
    ssh(DEV, "echo data | sudo tee /mnt/storage/data")
    ssh(DEV, "sudo umount /mnt/storage; sudo sed -i /mnt/d /etc/fstab")
    ssh(PROD, "sudo sed -i /san=k8s-/d /etc/systemd/system/k3s.service; sudo systemctl daemon-reload")
    ssh(HAPROXY, "sudo rm /etc/haproxy/haproxy.cfg; sudo systemctl disable -q haproxy")
    k8s, haproxy = both(home)
    assert k8s.code == haproxy.code == 0, k8s.output + haproxy.output
    assert min((k8s.counted("changed") | haproxy.counted("changed")).values()) > 0
    assert ssh(DEV, "cat /mnt/storage/data") == "data"  # mounted, not made anew
    assert "--tls-san=k8s-prod" in ssh(PROD, "systemctl show k3s -P ExecStart")
    assert ssh(HAPROXY, "systemctl is-enabled haproxy; systemctl is-active haproxy") == "enabled\nactive"
    assert readyz(DEV) == readyz(PROD) == "ok"


def test_a_grown_disk_keeps_its_data(home: Path):
    api("PUT", f"nodes/node01/qemu/{VMID[DEV]}/resize", disk="scsi1", size="2G")
    # Another version at the same time: installed again, once.
    assert Play(home, "k8s", DEV, K3S_VERSION=NEWER).changed() > 0
    assert int(ssh(DEV, "df --output=size -B1 /mnt/storage | tail -1")) > 1.8 * 2**30
    assert ssh(DEV, "cat /mnt/storage/data") == "data"
    assert NEWER in ssh(DEV, "k3s --version")


def test_restart_for_more_memory(home: Path):
    guest = f"nodes/node01/qemu/{VMID[DEV]}"
    boot = ssh(DEV, "cat /proc/sys/kernel/random/boot_id")
    api("PUT", f"{guest}/config", memory=1536)
    assert any("pending" in one for one in api("GET", f"{guest}/pending"))
    play = Play(home, "reboot", DEV)
    assert play.counted("changed") == {DEV: 1}, play.output
    assert "memory waiting for the restart" in play.output
    assert not any("pending" in one for one in api("GET", f"{guest}/pending"))
    assert ssh(DEV, "cat /proc/sys/kernel/random/boot_id") != boot
    # Grown, restarted: the mount is there again, the cluster too, and nothing is left to do.
    assert Play(home, "k8s", DEV, K3S_VERSION=NEWER).changed() == 0
    assert ssh(DEV, "cat /mnt/storage/data") == "data"


def test_a_foreign_disk_is_never_formatted(home: Path):
    """A partition table, which blkid does not call a file system."""
    entry = bytes([0, 0, 0, 0, 0x83, 0, 0, 0]) + (2048).to_bytes(4, "little") + (4096).to_bytes(4, "little")
    table = base64.b64encode(bytes(446) + entry + bytes(48) + b"\x55\xaa").decode()
    ssh(PROD, f"sudo systemctl stop k3s; sudo umount /mnt/storage; sudo wipefs -qa {DISK};"
        f" echo {table} | base64 -d | sudo dd of={DISK} conv=notrunc status=none")  # fmt: skip
    before = ssh(PROD, f"sudo head -c 1M {DISK} | sha256sum")
    play = Play(home, "k8s", PROD)
    assert play.counted("failed") == {PROD: 1}
    assert f"Disk scsi1 of {PROD} is not empty" in play.output
    assert ssh(PROD, f"sudo head -c 1M {DISK} | sha256sum") == before
    # Its cluster is down: that context fails, and it alone.
    assert readyz(PROD) != "ok"
    assert readyz(DEV) == "ok"


def test_vault_sealed(home: Path):
    ssh(DEV, "sudo systemctl stop k3s")
    vault.seal()
    try:
        play = Play(home, "k8s", DEV, K3S_VERSION=NEWER)
    finally:
        vault.unseal()
    assert play.counted("failed") == {DEV: 1}
    assert "sealed" in play.output
    assert play.counted("changed") == {DEV: 1}
    assert readyz(DEV) == "ok"


def test_no_secret_was_shown(home: Path):
    shown = "\n".join(Play.outputs)
    secrets = laboratory.secrets() | {"haproxy": PASSWORD}
    for entry in user.kubeconfig()[0]["users"]:
        encoded = entry["user"]["client-key-data"]
        secrets[entry["name"]] = encoded[200:240]
        secrets[f"{entry['name']} decoded"] = base64.b64decode(encoded).decode().splitlines()[1]
    assert len(secrets) > 6
    assert not [name for name, value in secrets.items() if value in shown]
