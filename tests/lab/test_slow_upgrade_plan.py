"""An upgrade's last check: the new version's own plan, by the real provider, over the fleet's machines."""

import subprocess
import sys

import pytest

from lab import daemons, network, terraform
from lab.environment import environment
from tests.helpers.upstream import Clone
from tests.lab.test_upgrade_workflow import ROOT, unpack

VM = """name: k8s-dev
target_node: node01
cores: 2
memory: 1024
clone: ubuntu24-template
ipconfig0: "ip=192.168.1.20/24,gw=192.168.1.1"
ciuser: suporte
disks:
  scsi0: {size: 4G, storage: local-lvm}
"""
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEgkvEH4LPcuMxe5yzFg9NBOTAaNeCyZHW2nOY9QnE5e me\n"


@pytest.fixture
def services(tmp_path, monkeypatch):
    """A lab with what a plan asks; its environment."""
    monkeypatch.setenv("LAB_DIR", str(tmp_path / "lab"))
    monkeypatch.setenv("PROXMOX_GITOPS_VENV", sys.prefix)
    try:
        daemons.up(["dhcp", "proxmox", "postgres"])
        terraform.configure()
        yield environment()
    finally:
        daemons.down()


def test_the_new_version_plans(services, tmp_path):
    project = Clone(tmp_path / "project")
    unpack(ROOT, project.path, names=(".",))
    project.release("v0.1.0", {})
    text = (project.path / "proxmox/modules/vm/main.tf").read_text()
    changed = text.replace("= each.key\n", '= "${each.key}-of-two"\n', 1)
    assert changed != text
    project.release("v0.2.0", {"proxmox/modules/vm/main.tf": changed})
    fleet = project.copy(tmp_path / "fleet", "v0.1.0")
    fleet.commit({"proxmox/vms/k8s-dev.yaml": VM, "proxmox/authorized_keys": KEY})
    command = [sys.executable, str(ROOT / "scripts/upgrade.py"), "--repo", str(fleet.path), "--check"]
    command += ["--upstream", str(project.path)]
    done = subprocess.run(network.inside_argv(command), env=services, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Plan: 1 to add" in done.stderr and "create  k8s-dev (VMID 500 on node01)" in done.stderr
    assert "k8s-dev-of-two" in done.stderr, "it is the new version's"
    fleet.commit({"proxmox/vms/k8s-dev.yaml": VM.replace("node01", "node77")})
    done = subprocess.run(network.inside_argv(command), env=services, capture_output=True, text=True)
    assert done.returncode == 1 and "the new version's apply_terraform.py ends with " in done.stderr
