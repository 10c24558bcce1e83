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


@pytest.fixture(scope="module")
def hollow(tmp_path_factory):
    with hollow_proxmox(tmp_path_factory.mktemp("services")) as folder:
        yield folder


def lines(names: str) -> str:
    """What names the lab's Proxmox; its CA stands in `.env` too."""
    token = secret("proxmox_token")
    user, _, password = token.partition("=")
    named = {
        "today's": {"PROXMOX_VE_ENDPOINT": PROXMOX_URL, "PROXMOX_VE_API_TOKEN": token},
        "older": {"PROXMOX_API_URL": PROXMOX_URL, "PROXMOX_API_USER": user, "PROXMOX_API_PASSWORD": password},
    }[names]
    named["SSL_CERT_FILE"] = str(lab_dir() / "tls/bundle.pem")
    return "".join(f"export {name}='{value}'\r\n" for name, value in named.items())


@pytest.mark.parametrize("names", ["today's", "older"])
@pytest.mark.parametrize("call", ["a script", "a play"])
def test_nothing_has_to_be_exported(hollow, tmp_path, names, call):
    path = tmp_path / ".env"
    path.write_bytes(f"\ufeff{lines(names)}".encode())
    path.chmod(0o600)
    env = {name: value for name, value in os.environ.items() if not name.startswith(OWN)}
    env |= {"PROXMOX_GITOPS_ENV": str(path), "ANSIBLE_CONFIG": str(ROOT / "proxmox/ansible.cfg")}
    playbook = Path(sys.executable).with_name("ansible-playbook")
    command = {
        "a script": [sys.executable, ROOT / "scripts/adopt.py", "9000", "--dry-run"],
        "a play": [playbook, ROOT / "proxmox/playbooks/template.yml", "-e", "proxmox_template_state=list"],
    }[call]
    argv = network.inside_argv([str(word) for word in command])
    done = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    # That template is of the lab and no build's.
    assert {"a script": "ubuntu24-template", "a play": "there are no templates yet"}[call] in done.stdout
