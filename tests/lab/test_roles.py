"""The playbooks on machines of the lab: from new machines to a second run, and what a person does in between.

The tests build on each other in their order. The machines are made through Proxmox's API, without Terraform.
"""

import base64
import json
import re
import ssl
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import lab as laboratory
from lab import GATEWAY, PROXMOX_URL, ROOT, daemons, network, secrets_dir, setup, user, vault
from lab.environment import environment

DISK = "/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_drive-scsi1"
DEV, PROD, HAPROXY = "k8s-dev", "k8s-prod", "haproxy-dev"
ADDRESS = {DEV: "192.168.1.20", PROD: "192.168.1.21", HAPROXY: "192.168.1.30"}
VMID = {DEV: 120, PROD: 121, HAPROXY: 130}
INVENTORY = f"""[haproxy]
{HAPROXY}

[k3s]
{DEV}
{PROD}

[all]
{DEV} ansible_host={ADDRESS[DEV]} ansible_user=suporte disk_mounts=scsi1:/mnt/storage  # terraform
{PROD} ansible_host={ADDRESS[PROD]} ansible_user=suporte disk_mounts=scsi1:/mnt/storage  # terraform
{HAPROXY} ansible_host={ADDRESS[HAPROXY]} ansible_user=suporte  # terraform
"""
PASSWORD, NEWER = "stats-password-of-the-lab", "v1.34.5+k3s1"
OUTPUTS: list[str] = []  # of every run, searched for secrets at the end


def api(method: str, path: str, **fields) -> object:
    """One request of Proxmox's API; a task is waited for."""
    request = urllib.request.Request(
        f"{PROXMOX_URL}api2/json/{path}",
        urllib.parse.urlencode(fields).encode() if fields or method != "GET" else None,
        {"Authorization": f"PVEAPIToken={laboratory.secret('proxmox_token')}"},
        method=method,
    )
    context = ssl.create_default_context(cafile=environment()["SSL_CERT_FILE"])
    with network.inside(), urllib.request.urlopen(request, timeout=30, context=context) as answer:
        data = json.load(answer)["data"]
    if isinstance(data, str) and data.startswith("UPID:"):
        node = data.split(":")[1]
        while (task := api("GET", f"nodes/{node}/tasks/{urllib.parse.quote(data)}/status"))[
            "status"
        ] != "stopped":
            time.sleep(0.2)
        assert task["exitstatus"] == "OK", task
    return data


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Iterator[Path]:
    """A lab of its own with three new machines; the home folder of who runs the playbooks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB_DIR", str(tmp_path_factory.mktemp("lab")))
        setup.everything()
        try:
            daemons.up(("vault", "proxmox", "k3s"))
            yield _machines(tmp_path_factory.mktemp("home"))
        finally:
            daemons.down()


def _machines(home: Path) -> Path:
    key = (secrets_dir() / "ssh_key.pub").read_text().strip()
    for name, vmid in VMID.items():
        guest = f"nodes/node01/qemu/{vmid}"
        api("POST", "nodes/node01/qemu/9000/clone", newid=vmid, name=name, full=1)
        disk = {} if name == HAPROXY else {"scsi1": "local-lvm:1"}
        api("PUT", f"{guest}/config", memory=1024, cores=2, ciuser="suporte",
            sshkeys=urllib.parse.quote(key, safe=""),
            ipconfig0=f"ip={ADDRESS[name]}/24,gw={GATEWAY}", **disk)  # fmt: skip
        api("POST", f"{guest}/status/start")
    (home / "k8s.ini").write_text(INVENTORY)
    scan = [sys.executable, "scripts/scan_host_keys.py", f"--inventory={home / 'k8s.ini'}",
            f"--known-hosts={home / 'known_hosts'}"]  # fmt: skip
    argv = network.inside_argv([*scan, f"--hosts={','.join(VMID)}"])
    done = subprocess.run(argv, cwd=ROOT, env=_environment(home), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return home


def _environment(home: Path) -> dict[str, str]:
    clean = {name: value for name, value in environment().items() if not name.startswith("ANSIBLE_")}
    known_hosts = f"-o UserKnownHostsFile={home}/known_hosts"
    return clean | {"HOME": str(home), "ANSIBLE_SSH_COMMON_ARGS": known_hosts, "ANSIBLE_NOCOLOR": "1"}


class Play:
    """One run of a playbook."""

    def __init__(self, home: Path, playbook: str, hosts: str, *options: str, **env: str):
        argv = ["ansible-playbook", f"proxmox/playbooks/{playbook}.yml", f"--inventory={home / 'k8s.ini'}",
                f"--private-key={secrets_dir() / 'ssh_key'}",
                "-e", f"target_hosts={hosts}", *options]  # fmt: skip
        done = subprocess.run(
            network.inside_argv(argv), cwd=ROOT, env=_environment(home) | env, capture_output=True, text=True
        )
        self.code, self.output = done.returncode, done.stdout + done.stderr
        OUTPUTS.append(self.output)

    def counted(self, what: str) -> dict[str, int]:
        """A column of the recap, by machine."""
        lines = re.findall(r"^(\S+)\s+: (ok=.*)$", self.output, re.MULTILINE)
        return {name: int(re.search(rf"{what}=(\d+)", text)[1]) for name, text in lines}

    def changed(self) -> int:
        assert self.code == 0, self.output
        return sum(self.counted("changed").values())


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
    shown = "\n".join(OUTPUTS)
    secrets = laboratory.secrets() | {"haproxy": PASSWORD}
    for entry in user.kubeconfig()[0]["users"]:
        encoded = entry["user"]["client-key-data"]
        secrets[entry["name"]] = encoded[200:240]
        secrets[f"{entry['name']} decoded"] = base64.b64decode(encoded).decode().splitlines()[1]
    assert len(secrets) > 6
    assert not [name for name, value in secrets.items() if value in shown]
