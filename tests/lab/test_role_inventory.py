"""Addresses and inventory of machines on the lab's Proxmox, with a real OpenSSH server in one machine's place."""

import getpass
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import generate_inventory
import proxmox_get_vm_ip
from fleet.lifecycle import owner
from fleet.paths import ROOT
from fleet.proxmox import tasks
from fleet.proxmox.client import Client
from lab import BRIDGE, PROXMOX_URL, secret
from lab.proxmox import faults
from tests.helpers.hollow import hollow_proxmox
from tests.helpers.sshd import Server

ADDRESS = "192.168.1.91"


class Cluster:
    def __init__(self, folder: Path):
        self.api = Client(PROXMOX_URL, secret("proxmox_token"))
        self.file = folder / "inventory vms.ini"
        self.record = self.file.with_suffix(".known_hosts")

    def machine(self, vmid: int, name: str, tags: str = owner.TAG, start: bool = True, **config) -> str:
        path = f"nodes/node01/qemu/{vmid}"
        options = {
            "agent": "1",
            "tags": tags,
            "description": owner.line(name, ""),
            "net0": f"virtio=BC:24:11:00:00:{vmid % 100:02d},bridge={BRIDGE}",
            "ciuser": getpass.getuser(),
        }
        tasks.wait(
            self.api, self.api.post("nodes/node01/qemu", vmid=vmid, name=name, **options | config), pause=0.1
        )
        if start:
            tasks.wait(self.api, self.api.post(f"{path}/status/start"), pause=0.1)
        return path

    def stop(self, path: str) -> None:
        tasks.wait(self.api, self.api.post(f"{path}/status/stop"), pause=0.1)

    def remove(self, path: str, runs: bool = True) -> None:
        if runs:
            self.stop(path)
        tasks.wait(self.api, self.api.delete(path), pause=0.1)

    def generate(self, *options: str) -> int:
        return generate_inventory.main(["--inventory", str(self.file), "--timeout", "0", *options])

    def hosts(self) -> list[str]:
        return [line.split("  #")[0] for line in self.file.read_text().splitlines() if "ansible_host" in line]


@pytest.fixture(scope="module")
def hollow(tmp_path_factory) -> Iterator[Path]:
    with hollow_proxmox(tmp_path_factory.mktemp("addresses")) as folder:
        yield folder


@pytest.fixture
def cluster(hollow, tmp_path, monkeypatch) -> Iterator[Cluster]:
    """Without machines at the end."""
    monkeypatch.setenv("PROXMOX_VE_ENDPOINT", PROXMOX_URL)
    monkeypatch.setenv("PROXMOX_VE_API_TOKEN", secret("proxmox_token"))
    found = Cluster(tmp_path)
    yield found
    faults.inject()
    for guest in found.api.guests():
        if not guest.template:
            found.remove(f"nodes/{guest.node}/qemu/{guest.vmid}", guest.status == "running")


@pytest.fixture
def server(hollow, tmp_path, monkeypatch) -> Iterator[Server]:
    """What answers SSH at ADDRESS."""
    subprocess.run(["ip", "address", "add", f"{ADDRESS}/24", "dev", BRIDGE], check=True)
    one = Server(tmp_path / "sshd", 22, ADDRESS)
    monkeypatch.setenv("ANSIBLE_PRIVATE_KEY_FILE", str(one.key_file))
    try:
        yield one.start()
    finally:
        one.stop()
        subprocess.run(["ip", "address", "delete", f"{ADDRESS}/24", "dev", BRIDGE], check=True)


def ansible(command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """As a person would call it in the checkout."""
    environment = {name: value for name, value in os.environ.items() if name != "ANSIBLE_CONFIG"}
    environment["ANSIBLE_SSH_ARGS"] = "-o ControlPath=none"  # each call meets the machine for itself
    return subprocess.run([command, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True)


def ping(cluster: Cluster) -> subprocess.CompletedProcess[str]:
    python = f"ansible_python_interpreter={sys.executable}"  # this machine has others, which need not run
    return ansible("ansible", "-i", str(cluster.file), "all", "-m", "ping", "-e", python)


def test_ansible_reaches_the_machines_of_the_inventory_and_nobody_in_their_place(cluster, server, capsys):
    path = cluster.machine(501, "web-1", ipconfig0=f"ip={ADDRESS}/24,gw=192.168.1.1")
    assert cluster.generate() == 0
    assert f"added: web-1 ({ADDRESS})\nwritten: {cluster.file}\n" in capsys.readouterr().out
    assert cluster.hosts() == [f"web-1 ansible_host={ADDRESS} ansible_user={getpass.getuser()}"]
    assert server.host_key in cluster.record.read_text()
    done = ping(cluster)
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"ping": "pong"' in done.stdout

    server.says("status: running")  # it would be waited for
    before = [file.stat().st_mtime_ns for file in (cluster.file, cluster.record)]
    assert cluster.generate() == 0
    assert capsys.readouterr().out == f"unchanged: {cluster.file}\n"
    assert [file.stat().st_mtime_ns for file in (cluster.file, cluster.record)] == before

    server.stop()
    server.new_host_keys()
    server.start()
    done = ping(cluster)
    assert "UNREACHABLE" in done.stdout
    assert "HOST IDENTIFICATION HAS CHANGED" in done.stdout

    # A new instance, as cloud-init makes of a machine with another user's keys at its next boot.
    server.says("status: done")
    cluster.api.put(f"{path}/config", searchdomain="example.org")
    cluster.stop(path)
    tasks.wait(cluster.api, cluster.api.post(f"{path}/status/start"), pause=0.1)
    assert cluster.generate() == 0
    assert server.host_key in cluster.record.read_text()
    assert cluster.record.read_text().count(ADDRESS) == 1

    cluster.remove(path)
    assert cluster.generate() == 0
    assert "removed: web-1" in capsys.readouterr().out
    assert (cluster.hosts(), cluster.record.read_text()) == ([], "")


def test_another_key_of_the_same_instance_is_an_error(cluster, server, capsys):
    """As at another address that a DHCP server gave: whoever answers there must be the machine."""
    cluster.machine(501, "web-1", ipconfig0=f"ip={ADDRESS}/24")
    assert cluster.generate() == 0
    known = cluster.record.read_text().replace(f"{ADDRESS} ", "192.168.1.90 ")
    cluster.record.write_text(known.replace(server.host_key, server.host_key[:-8] + "AAAAAAAA"))
    before = cluster.record.read_text()
    assert cluster.generate() == 1
    said = capsys.readouterr().err
    assert f"web-1: host keys of web-1 at {ADDRESS} changed though the machine did not" in said
    assert cluster.record.read_text() == before


def test_a_key_that_no_machine_knows_is_named(cluster, server, tmp_path, monkeypatch, capsys):
    key = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    monkeypatch.setenv("ANSIBLE_PRIVATE_KEY_FILE", str(key))
    cluster.machine(501, "web-1", ipconfig0=f"ip={ADDRESS}/24")
    assert cluster.generate() == 1
    assert "the key to log in with is that of ANSIBLE_PRIVATE_KEY_FILE" in capsys.readouterr().err


def test_a_machine_without_ssh_has_a_line_and_is_named(cluster, capsys):
    cluster.machine(501, "web-1", ipconfig0="ip=192.168.1.92/24")
    assert cluster.generate() == 1
    assert cluster.hosts() == [f"web-1 ansible_host=192.168.1.92 ansible_user={getpass.getuser()}"]
    assert "web-1: SSH at 192.168.1.92: no answer within 0 s" in capsys.readouterr().err


def test_only_the_roles_finished_machines_are_in_it(cluster, capsys):
    cluster.machine(501, "mine", start=False, ipconfig0="ip=192.168.1.93/24")
    cluster.machine(502, "fleets", tags="ansible;terraform", start=False, ipconfig0="ip=192.168.1.94/24")
    cluster.machine(
        503, "copied", description=owner.line("mine", ""), start=False, ipconfig0="ip=192.168.1.95/24"
    )
    half = owner.line("half", "", finished=False)
    cluster.machine(504, "half", description=half, start=False, ipconfig0="ip=192.168.1.96/24")
    cluster.machine(505, "handed-over", description="", start=False, ipconfig0="ip=192.168.1.97/24")
    assert cluster.generate() == 0
    assert [line.split()[0] for line in cluster.hosts()] == ["handed-over", "mine"]
    assert (
        "warning: half (VMID 504 on node01): half: its creation was cut off; run create again"
        in capsys.readouterr().err
    )


def test_a_line_stays_while_nothing_proves_that_its_machine_is_gone(cluster, capsys):
    path = cluster.machine(501, "web-1", start=False, ipconfig0="ip=192.168.1.92/24")
    cluster.generate()
    before = cluster.file.read_text()
    cluster.api.put(f"{path}/config", ipconfig0="ip=dhcp")
    for fault, said in (
        ({"offline": "node01"}, "node node01 does not answer; its line keeps 192.168.1.92"),
        ({"match": "GET /cluster/resources", "data": []}, "the token does not see VMID 501, which is in use"),
        (
            {"match": "GET .*/501/config", "status": 403, "message": "Permission check failed"},
            "403 Permission check",
        ),
        ({}, "the machine does not run; start it; its line keeps 192.168.1.92"),
    ):
        with faults.injected(*filter(None, [fault])):
            assert cluster.generate() in (0, 1)
        assert said in capsys.readouterr().err
        assert cluster.hosts() == [before.splitlines()[3].split("  #")[0]]
    with faults.injected({"match": "GET /cluster/resources", "status": 595, "message": "No route to host"}):
        before = cluster.file.read_text()
        assert cluster.generate() == 2
    assert cluster.file.read_text() == before


def test_a_file_of_somebody_else_stays(cluster, capsys):
    cluster.file.write_text("[web]\nmine ansible_host=10.0.0.1\n")
    assert cluster.generate() == 1
    assert "was not written by generate_inventory.py" in capsys.readouterr().err
    assert cluster.file.read_text() == "[web]\nmine ansible_host=10.0.0.1\n"


def test_ansible_inventory_lists_it(cluster):
    cluster.machine(501, "web-1", start=False, ipconfig0="ip=192.168.1.92/24,ip6=2001:db8::92/64")
    cluster.machine(502, "web-6", start=False, ipconfig0="ip6=2001:db8::93/64", ciuser="")
    assert cluster.generate() == 0
    listed = json.loads(ansible("ansible-inventory", "-i", str(cluster.file), "--list").stdout)
    assert listed["proxmox_vms"]["hosts"] == ["web-1", "web-6"]
    variables = listed["_meta"]["hostvars"]
    assert variables["web-1"]["ansible_host"] == "192.168.1.92"
    assert variables["web-6"]["ansible_host"] == "2001:db8::93"
    assert "ansible_user" not in variables["web-6"]


def test_addresses_and_why_there_are_none(cluster, capsys):
    cluster.machine(501, "web-1", ipconfig0="ip=dhcp,ip6=2001:db8::92/64")
    cluster.machine(502, "no-agent", start=False, agent="0")
    cluster.machine(503, "off", start=False)
    for arguments, address in (([], "192.168.1.201"), (["--family", "6"], "2001:db8::92")):
        assert proxmox_get_vm_ip.main(["--name", "web-1", *arguments]) == 0
        assert capsys.readouterr().out == f"{address}\n"
    with faults.injected({"agent_silent": 501}):
        for name, said in (
            ("web-1", "its guest agent does not run"),
            ("no-agent", "no guest agent is configured"),
            ("off", "the machine does not run; start it"),
        ):
            assert proxmox_get_vm_ip.main(["--name", name]) == 1
            assert said in capsys.readouterr().err
