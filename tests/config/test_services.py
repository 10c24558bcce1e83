"""Scripts and plays find Proxmox by `.env` alone, with the names of today and those of older guides."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fleet.paths import ROOT
from lab import PROXMOX_URL, lab_dir, network, secret
from tests.helpers.hollow import hollow_proxmox

OWN = ("PROXMOX", "VAULT", "PG_", "SSL_CERT", "REQUESTS_CA", "CURL_CA", "ANSIBLE_", "GITHUB_")
PLAYBOOK = str(Path(sys.executable).with_name("ansible-playbook"))
MACHINES = {
    "VM_NAMES": "ceph-1 ceph-2",
    "VM_NODES": "node01",
    "VM_TEMPLATE": "ubuntu24-template",
    "VM_OS_SIZE": "5G",
    "VM_DATA_DISKS": "2",
    "VM_DATA_SIZE": "1G",
    "VM_MON_SIZE": "1G",
    "VM_ADDRESSES": "192.168.1.61/24 192.168.1.62/24",
    "VM_GATEWAY": "192.168.1.1",
}


@pytest.fixture(scope="module")
def hollow(tmp_path_factory):
    with hollow_proxmox(tmp_path_factory.mktemp("services")) as folder:
        yield folder


@pytest.fixture
def run(hollow, tmp_path):
    """A function that runs a command with this `.env`, the lab's CA in it, and nothing exported."""
    path = tmp_path / ".env"

    def call(said: dict[str, str], *command: str) -> str:
        said = said | {"SSL_CERT_FILE": str(lab_dir() / "tls/bundle.pem")}
        text = "".join(f"export {name}='{value}'\r\n" for name, value in said.items())
        path.write_bytes(f"\ufeff{text}".encode())
        path.chmod(0o600)
        env = {name: value for name, value in os.environ.items() if not name.startswith(OWN)}
        env |= {"PROXMOX_GITOPS_ENV": str(path), "ANSIBLE_CONFIG": str(ROOT / "proxmox/ansible.cfg")}
        argv = network.inside_argv(list(command))
        done = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return call


def today() -> dict[str, str]:
    return {"PROXMOX_VE_ENDPOINT": PROXMOX_URL, "PROXMOX_VE_API_TOKEN": secret("proxmox_token")}


def older() -> dict[str, str]:
    user, _, password = secret("proxmox_token").partition("=")
    return {"PROXMOX_API_URL": PROXMOX_URL, "PROXMOX_API_USER": user, "PROXMOX_API_PASSWORD": password}


@pytest.mark.parametrize("names", [today, older])
@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ([sys.executable, "scripts/adopt.py", "9000", "--dry-run"], "ubuntu24-template"),
        # That template is of the lab and no build's.
        (
            [PLAYBOOK, "proxmox/playbooks/template.yml", "-e", "proxmox_template_state=list"],
            "there are no templates yet",
        ),
    ],
    ids=["a script", "a play"],
)
def test_nothing_has_to_be_exported(run, names, command, answer):
    assert answer in run(names(), *command)


def test_the_generated_machines_can_be_deployed(run, tmp_path):
    """In check mode, since an empty machine would not answer after its start."""
    said = today() | MACHINES
    run(said, sys.executable, "scripts/generate_config.py", "--dir", str(tmp_path))
    config = f"deploy_config={tmp_path}/vars/vm_config.yml"
    plan = run(said, PLAYBOOK, "proxmox/playbooks/deploy.yml", "--check", "-e", config)
    assert "ceph-2" in plan and "scsi3" in plan
