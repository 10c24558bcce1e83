"""What `.env` says of services reaches every script that uses one, and what such a script starts."""

import os
import subprocess
import sys

import pytest

from fleet.builds import spec
from fleet.images.lock import Locked
from fleet.paths import ROOT
from tests.house.test_layers import FILES, IMPORTS, is_script

SERVICES = {"fleet.proxmox.client", "fleet.terraform.command", "fleet.clusters.vault_client"}
# These run in workflows alone, check what a workflow has, or report a wrong `.env` in a line of its own.
WITHOUT = {"check_secrets", "publish_inventory", "doctor"}


def closure(name: str) -> set[str]:
    seen, queue = set(), [name]
    while queue:
        one = queue.pop()
        if one not in seen:
            seen.add(one)
            queue += IMPORTS[one] & FILES.keys()
    return seen


def clean(path) -> dict[str, str]:
    """An environment that says nothing of services."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PROXMOX", "VAULT", "PG_"))
    }
    kept.pop("GITHUB_ACTIONS", None)
    return kept | {"PROXMOX_GITOPS_ENV": str(path)}


SCRIPTS = sorted(
    name for name in filter(is_script, FILES) if closure(name) & SERVICES and name not in WITHOUT
)
NEEDED = {
    "adopt": ["--all"],
    "upload_image": ["debian12", "x"],
    "proxmox_get_vm_ip": ["--all"],
    "update_kubeconfig": ["--remove", "k8s-dev"],
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_that_uses_a_service_reads_it(script, tmp_path):
    (tmp_path / ".env").write_text("VAULT_TOKEN\n")
    command = [sys.executable, FILES[script], *NEEDED.get(script, [])]
    done = subprocess.run(command, env=clean(tmp_path / ".env"), capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert done.stderr.endswith(f"{tmp_path}/.env: line 1: is not of the form NAME=value\n")


def test_what_a_script_starts_has_it_too(tmp_path):
    (tmp_path / ".env").write_text("PG_CONN_STR=postgres://a:$b@c/d\nVM_NAMES=x\n")
    (tmp_path / ".env").chmod(0o600)
    program = tmp_path / "terraform"
    program.write_text('#!/bin/sh\nprintf "%s" "$PG_CONN_STR $VM_NAMES" >"$0.saw"\nexit 1\n')
    program.chmod(0o755)
    environment = clean(tmp_path / ".env") | {"TERRAFORM": str(program)}
    command = [sys.executable, ROOT / "scripts/update_inventory.py", "--dry-run"]
    subprocess.run(command, env=environment, capture_output=True, check=False)
    assert program.with_name("terraform.saw").read_text() == "postgres://a:$b@c/d "


@pytest.mark.parametrize(
    ("given", "environment", "wanted"),
    [
        ("", "ip=192.168.1.9/24", "ip=192.168.1.9/24"),
        ("ip=192.168.1.8/24", "ip=192.168.1.9/24", "ip=192.168.1.8/24"),
        ("", "", ""),
    ],
)
def test_the_address_of_a_build_is_that_of_the_environment_unless_it_is_given(
    given, environment, wanted, monkeypatch
):
    monkeypatch.setenv("PROXMOX_SEAL_IPCONFIG", environment)
    monkeypatch.setattr(spec.lock, "locked", lambda word: Locked(word, "https://example.org/x.qcow2"))
    assert spec.read({"image": "debian12", "seal_ipconfig": given}).seal == wanted
