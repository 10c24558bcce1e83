"""What `.env` says of services reaches every script that uses one, and what such a script starts."""

import os
import re
import subprocess
import sys

import pytest

from fleet.builds import spec
from fleet.images.lock import Locked
from tests.house.test_layers import FILES, IMPORTS, is_script

SERVICES = {"fleet.terraform.command", "fleet.vault.client"}
# These run in workflows alone, check what a workflow has, or report a wrong `.env` in a line of its own.
WITHOUT = {"check_secrets", "publish_inventory", "doctor"}
CALLS = [
    ["adopt", "--all"],
    ["apply_terraform", "--plan-only"],
    ["generate_tfvars"],
    ["proxmox_get_vm_ip", "--all"],
    ["proxmox_token"],
    ["upload_image", "debian12", "x"],
    ["register_cluster", "k8s-dev"],
    ["renew_vault_token"],
    ["update_inventory"],
    ["update_kubeconfig", "--remove", "k8s-dev"],
]


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


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_that_uses_a_service_reads_it(script):
    assert re.search(r"dotenv\.load\(\)|\bconnect\(\)", FILES[script].read_text())


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call[0])
def test_a_mistake_in_it_ends_the_script(call, tmp_path):
    (tmp_path / ".env").write_text("VAULT_TOKEN\n")
    command = [sys.executable, FILES[call[0]], *call[1:]]
    done = subprocess.run(command, env=clean(tmp_path / ".env"), capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert done.stderr.endswith(f"{tmp_path}/.env: line 1: is not of the form NAME=value\n")


@pytest.mark.parametrize("call", ["update_inventory --dry-run", "apply_terraform --plan-only"])
def test_what_a_script_starts_has_it_too(call, tmp_path):
    token = "a@pve!b=5f0c6d1e-8a3b-4c2d-9e1f-000000000001"
    said = {
        "PG_CONN_STR": "postgres://a:$b@c/d",
        "PROXMOX_API_URL": "https://pve:8006",
        "PROXMOX_VE_API_TOKEN": token,
    }
    path = tmp_path / ".env"
    path.write_text("".join(f"{name}={value}\n" for name, value in said.items()) + "VM_NAMES=x\n")
    path.chmod(0o600)
    program = tmp_path / "terraform"
    seen = "$PG_CONN_STR $PROXMOX_VE_ENDPOINT $PROXMOX_VE_API_TOKEN $VM_NAMES"
    program.write_text(f'#!/bin/sh\nprintf "%s" "{seen}" >"$0.saw"\nexit 1\n')
    program.chmod(0o755)
    name, option = call.split()
    command = [sys.executable, FILES[name], option]
    subprocess.run(command, env=clean(path) | {"TERRAFORM": str(program)}, capture_output=True, check=False)
    assert program.with_name("terraform.saw").read_text() == f"{' '.join(said.values())} "


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
