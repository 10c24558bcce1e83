"""A machine that the role proxmox_vm makes: it boots, has its user, key and address, and grows."""

import json
import subprocess
import sys

import pytest

from lab import ROOT, lab_dir, network
from lab.environment import environment
from tests.helpers.proxmox import host_key, ssh, wait_for

ADDRESS = "192.168.1.60"


def platform(action: str, **variables: object) -> str:
    return said("proxmox/manage-platform.sh", "-h", "node01", "proxmox_vm", action, "--", "-e",
                json.dumps({"vm_name": "app", **variables}))  # fmt: skip


def said(*command: str) -> str:
    key = {"ANSIBLE_PRIVATE_KEY_FILE": str(lab_dir() / "secrets/ssh_key")}
    done = subprocess.run(
        network.inside_argv(list(command)), cwd=ROOT, env=environment() | key, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def app(hypervisor):
    yield platform(
        "create", vm_template_distribution="ubuntu24", vm_disk_min_size="5G", proxmox_vm_start=True,
        proxmox_vm_cloud_init_user="suporte", proxmox_vm_cloud_init_ip=f"{ADDRESS}/24",
        proxmox_vm_cloud_init_gw="192.168.1.1",
        proxmox_vm_cloud_init_ssh_keys_file=str(lab_dir() / "secrets/ssh_key.pub"),
    )  # fmt: skip
    platform("remove", proxmox_vm_confirm="app", proxmox_vm_force_stop=True)


def test_it_is_what_was_asked_for(app):
    assert "waiting for the guest agent of app (VMID 500 on node01)" in app
    assert ssh(ADDRESS, "hostname; whoami").split() == ["app", "suporte"]
    assert int(ssh(ADDRESS, "df --output=size -B1M / | tail -1")) > 4500
    assert f"app (VMID 500 on node01) is running, at {ADDRESS}" in platform("verify")
    key = host_key(ADDRESS)
    platform("modify", proxmox_vm_disks={"scsi0": "6G", "scsi1": "1G"}, vm_cores=2)
    platform("shutdown")
    platform("start")
    wait_for(lambda: ssh(ADDRESS, "nproc"))
    assert int(ssh(ADDRESS, "df --output=size -B1M / | tail -1")) > 5500
    assert host_key(ADDRESS) == key, "the same instance keeps its keys"


def test_its_address_and_its_inventory(app, api, tmp_path):
    """With the agent, the SSH server and the cloud-init of a real machine."""
    python, inventory = sys.executable, str(tmp_path / "inventory-vms.ini")
    assert said(python, "scripts/proxmox_get_vm_ip.py", "--name", "app", "--wait", "20") == f"{ADDRESS}\n"
    generate = [python, "scripts/generate_inventory.py", "--inventory", inventory]
    assert f"added: app ({ADDRESS})" in said(*generate)
    assert said(*generate) == f"unchanged: {inventory}\n"
    assert '"ping": "pong"' in said("ansible", "-i", inventory, "all", "-m", "ping")
    api.nodes("node01").qemu(500).config.put(ipconfig0="ip=dhcp")
    platform("shutdown")
    platform("start")
    address = said(python, "scripts/proxmox_get_vm_ip.py", "--name", "app", "--wait", "20").strip()
    assert address != ADDRESS
    assert f"changed: app ({address}; before: app, {ADDRESS})" in said(*generate)
    assert '"ping": "pong"' in said("ansible", "-i", inventory, "all", "-m", "ping")
