"""One fault, one line: each fault makes its line red, and every other line is as it was or not asked."""

import contextlib
import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest

from fleet.findings import Fault
from fleet.proxmox import tasks
from fleet.proxmox.client import Client
from fleet.terraform.lock import KEY
from lab import PROXMOX_URL, lab_dir, postgres, secret, vault
from lab.proxmox import access, faults
from tests.doctor.conftest import secrets
from tests.helpers import https_server

TOKEN = "terraform@pve!gitops"


@contextlib.contextmanager
def env(**values: str) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in values.items():
            patch.setenv(name, value)
        yield


def lab_fault(*items: dict) -> Callable[[Path], contextlib.AbstractContextManager]:
    return lambda folder: faults.injected(*items)


def setting(**values: str) -> Callable[[Path], contextlib.AbstractContextManager]:
    return lambda folder: env(**values)


def without(privilege: str) -> Callable[[Path], contextlib.AbstractContextManager]:
    """The role lacks one privilege."""

    @contextlib.contextmanager
    def lacking(folder: Path) -> Iterator[None]:
        before = access.read()
        data = access.read()
        data["roles"]["GitOps"].remove(privilege)
        access.write(data)
        yield
        access.write(before)

    return lacking


@contextlib.contextmanager
def expired(folder: Path) -> Iterator[None]:
    pem = https_server.certificate(folder, age=3)
    with https_server.serving(pem, {}) as url, env(PROXMOX_VE_ENDPOINT=url, SSL_CERT_FILE=str(pem)):
        yield


@contextlib.contextmanager
def cloned(vmid: int, name: str, **config: str) -> Iterator[tuple[Client, str]]:
    """A full clone of the lab's template; gone at the end."""
    api = Client(PROXMOX_URL, secret("proxmox_token"))
    path = f"nodes/node01/qemu/{vmid}"
    tasks.wait(api, api.post("nodes/node01/qemu/9000/clone", newid=vmid, name=name, full=1), pause=0.1)
    api.put(f"{path}/config", **config)
    yield api, path
    tasks.wait(api, api.delete(path, purge=1), pause=0.1)
    api.session.close()


@contextlib.contextmanager
def half_template(folder: Path) -> Iterator[None]:
    """Proxmox was killed after it had set the mark and before it had converted the disk."""
    with cloned(9100, "half-template", cores="2") as (api, path):
        with (
            faults.injected({"match": "STEP qmtemplate:9100 flag", "kill": True}),
            contextlib.suppress(Fault),
        ):
            tasks.wait(api, api.post(f"{path}/template"), pause=0.1)
        yield


@contextlib.contextmanager
def without_sslmode(folder: Path) -> Iterator[None]:
    """Python's driver then takes what it gets, and Terraform's demands TLS."""
    with env(PG_CONN_STR=postgres.connection_string().partition("?")[0]):
        yield


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    with psycopg.connect(postgres.connection_string(), application_name="proxmox-gitops runner1:77") as other:
        other.execute("SELECT pg_advisory_lock(%s)", [KEY])
        yield


@contextlib.contextmanager
def locked_by_terraform(folder: Path) -> Iterator[None]:
    with psycopg.connect(postgres.connection_string()) as other:
        other.execute("SELECT pg_advisory_lock(1)")
        yield


@contextlib.contextmanager
def sealed(folder: Path) -> Iterator[None]:
    vault.seal()
    yield
    vault.unseal()
    for _ in range(100):  # a mount needs a moment
        with contextlib.suppress(Exception):
            vault.request("GET", "sys/mounts")
            return
        time.sleep(0.05)


def vault_token(revoke: bool = False, **about: object) -> Callable[[Path], contextlib.AbstractContextManager]:
    """A token with no policy but Vault's own `default`, unless `about` says otherwise."""

    @contextlib.contextmanager
    def other(folder: Path) -> Iterator[None]:
        asked = {"policies": ["default"], "period": "768h", "no_parent": True} | about
        made = vault.request("POST", "auth/token/create", asked)["auth"]["client_token"]
        if revoke:
            vault.request("POST", "auth/token/revoke", {"token": made})
        with env(VAULT_TOKEN=made):
            yield

    return other


def policies(**texts: str) -> Callable[[Path], contextlib.AbstractContextManager]:
    """Policies of other texts; with an empty one there is none."""

    @contextlib.contextmanager
    def other(folder: Path) -> Iterator[None]:
        places = {name: f"sys/policies/acl/{name}" for name in texts}
        before = {name: vault.request("GET", place)["data"]["policy"] for name, place in places.items()}
        for name, place in places.items():
            vault.request("PUT" if texts[name] else "DELETE", place, {"policy": texts[name]})
        yield
        for name, place in places.items():
            vault.request("PUT", place, {"policy": before[name]})

    return other


@contextlib.contextmanager
def open_env(folder: Path) -> Iterator[None]:
    path = folder / ".env"
    path.chmod(0o644)
    yield
    path.chmod(0o600)


def in_env(old: str, new: str) -> Callable[[Path], contextlib.AbstractContextManager]:
    """A line of `.env` is another one."""

    @contextlib.contextmanager
    def changed(folder: Path) -> Iterator[None]:
        path = folder / ".env"
        before = path.read_text()
        path.write_text(before.replace(old, new))
        yield
        path.write_text(before)

    return changed


@contextlib.contextmanager
def no_ansible(folder: Path) -> Iterator[None]:
    places = os.environ["PATH"].split(os.pathsep)
    left = [place for place in places if not Path(place, "ansible-playbook").exists()]
    with pytest.MonkeyPatch.context() as patch, env(PATH=os.pathsep.join(left)):
        patch.setattr(sys, "executable", "/usr/bin/python3")
        patch.setattr("fleet.ansible.command.ROOT", folder)
        yield


def forge(**changes: dict) -> Callable[[Path], contextlib.AbstractContextManager]:
    @contextlib.contextmanager
    def changed(folder: Path) -> Iterator[None]:
        path = lab_dir() / "forge/settings.json"
        path.write_text(json.dumps(changes))
        with env(GITHUB_TOKEN=next(iter(changes.get("tokens", {})), os.environ["GITHUB_TOKEN"])):
            yield
        path.unlink()

    return changed


@contextlib.contextmanager
def more_rights(folder: Path) -> Iterator[None]:
    before = access.read()
    data = access.read()
    data["roles"]["GitOps"].append("Permissions.Modify")
    access.write(data)
    yield
    access.write(before)


@contextlib.contextmanager
def interrupted_build(folder: Path) -> Iterator[None]:
    """A guest that a build left behind before it said what it is to become."""
    with cloned(9101, "rocky9-template-building", tags="building"):
        yield


@contextlib.contextmanager
def silent_agent(folder: Path) -> Iterator[None]:
    with cloned(600, "quiet", agent="1") as (api, path):
        tasks.wait(api, api.post(f"{path}/status/start"), pause=0.1)
        with faults.injected({"agent_silent": 600}):
            yield
        tasks.wait(api, api.post(f"{path}/status/stop"), pause=0.1)


@contextlib.contextmanager
def writing_read_token(folder: Path) -> Iterator[None]:
    with env(PROXMOX_READ_API_TOKEN=secret("proxmox_token")):
        yield


def storage(content: str) -> dict:
    """What a node tells of its one storage."""
    gib = 1 << 30
    return {
        "storage": "local",
        "type": "dir",
        "content": content,
        "active": 1,
        "total": 100 * gib,
        "avail": 90 * gib,
    }


class Case(NamedTuple):
    fault: Callable[[Path], contextlib.AbstractContextManager]
    line: str
    mend: str  # a part of it
    unasked: int = 0  # lines that are not asked because of it
    state: str = "red"


P, C, S, V, G = "Proxmox/", "This computer/", "Terraform's state/", "Vault/", "GitHub/"
ELSE = "https://127.0.0.1:1/"
CASES = {
    "api-down": Case(setting(PROXMOX_VE_ENDPOINT=ELSE), P + "endpoint", "systemctl status pveproxy", 99),
    "not-proxmox": Case(setting(PROXMOX_VE_ENDPOINT="https://pve:port/"), P + "endpoint", "PROXMOX_VE_ENDPOINT", 99),
    "certificate-unknown": Case(
        setting(SSL_CERT_FILE="/etc/ssl/certs/ca-certificates.crt"), P + "certificate", "pve-root-ca.pem", 99
    ),
    "no-bundle": Case(setting(SSL_CERT_FILE="/nonexistent"), P + "endpoint", "correct SSL_CERT_FILE", 99),
    "certificate-expired": Case(expired, P + "certificate", "pvecm updatecerts", 99),
    "token-unknown": Case(
        setting(PROXMOX_VE_API_TOKEN=f"{TOKEN}=00000000-0000-0000-0000-000000000000"), P + "token", "make fix-token", 99
    ),
    "no-clone": Case(without("VM.Clone"), P + "may make machines", "-privs VM.Clone"),
    "no-guest-agent": Case(without("VM.GuestAgent.Audit"), P + "may ask guest agents", "VM.GuestAgent.Audit"),
    "no-look": Case(without("VM.Audit"), P + "may look", "-privs VM.Audit", 2),
    "no-images": Case(without("Datastore.AllocateTemplate"), P + "may bring images", "Datastore.AllocateTemplate"),
    "node-offline": Case(lab_fault({"offline": "node02"}), P + "node node02", "pvecm status"),
    "no-quorum": Case(
        lab_fault({"match": "GET /cluster/status", "data": [{"type": "cluster", "name": "lab", "quorate": 0}]}),
        P + "quorum", "pvecm status",
    ),
    "no-import-storage": Case(
        lab_fault({"match": "GET /nodes/node02/storage$", "data": [storage("images,snippets")]}),
        P + "image storage", "pvesm set local --content images,snippets,import",
    ),
    "no-disk-storage": Case(
        lab_fault({"match": "GET /nodes/node02/storage$", "data": [storage("import,snippets")]}),
        P + "disk storage", "pvesm set local --content import,snippets,images",
    ),
    "storage-hangs": Case(
        lab_fault({"match": "GET /nodes/node02/storage$", "delay": 20}),
        P + "disk storage", "on node02: `pvesm status`", 3,
    ),
    "no-bridge": Case(
        lab_fault({"match": "GET /nodes/node02/network$", "data": [{"iface": "vmbr1"}]}),
        P + "bridge", "vmbr0 on node02",
    ),
    "half-template": Case(half_template, P + "templates", "qm template 9100"),
    "no-template": Case(in_env("ubuntu24-template", "rocky9-template"), P + "named templates", "IMAGE=rocky9"),
    "next-id": Case(
        lab_fault({"match": "GET /cluster/options", "data": {}}), P + "VMID range",
        "pvesh set /cluster/options -next-id lower=500,upper=9000", state="warning",
    ),
    "more-rights": Case(more_rights, P + "no more rights", "make fix-token", state="warning"),
    "interrupted-build": Case(interrupted_build, P + "templates", "make template IMAGE=rocky9", state="warning"),
    "silent-agent": Case(silent_agent, P + "guest agents", "qemu-guest-agent", state="warning"),
    "read-token-writes": Case(writing_read_token, P + "read-only token", "make fix-token"),
    "snippets-mode": Case(in_env("=mounted", "=nfs"), P + "snippets", "correct PROXMOX_SNIPPETS in .env"),
    "snippets-storage": Case(
        in_env("=mounted", "=mounted\nPROXMOX_SNIPPETS_STORAGE=tank"), P + "snippets", "pvesm set tank --content",
    ),
    "snippets-by-ssh": Case(
        in_env("=mounted", "=ssh\nPROXMOX_SSH_HOSTS=node01=127.0.0.1:1 node02=127.0.0.1:1"), P + "snippets", "ssh",
    ),
    "snippets-folder": Case(setting(PROXMOX_SNIPPETS_DIR="/nonexistent"), P + "snippets", "PROXMOX_SNIPPETS_DIR"),
    "database-down": Case(
        setting(PG_CONN_STR="postgres://me:geheim-geheim@127.0.0.1:1/x"),
        S + "database", "systemctl status postgresql", 3,
    ),
    "database-password": Case(
        setting(PG_CONN_STR="postgres://terraform:geheim-geheim@127.0.0.1:5432/terraform?sslmode=disable"),
        S + "database", "user and password", 3,
    ),
    "database-without-tls": Case(without_sslmode, S + "TLS", "?sslmode=disable"),
    "connection-string": Case(setting(PG_CONN_STR="postgres://me:a/b@host/x"), S + "PG_CONN_STR", "%2F", 1),
    "locked": Case(locked, S + "lock", "pg_terminate_backend"),
    "locked-by-terraform": Case(locked_by_terraform, S + "lock", "pg_terminate_backend"),
    "vault-down": Case(setting(VAULT_ADDR="http://127.0.0.1:1"), V + "address", "systemctl status vault", 5),
    "vault-address": Case(setting(VAULT_ADDR="vault:8200"), V + "address", "correct VAULT_ADDR", 5),
    "vault-ca": Case(
        setting(VAULT_ADDR="https://127.0.0.1:8200", VAULT_CACERT="/nonexistent"),
        V + "address", "correct VAULT_CACERT", 5,
    ),
    "vault-sealed": Case(sealed, V + "seal", "vault operator unseal", 4),
    "vault-token": Case(vault_token(revoke=True), V + "token", "vault token create", 3),
    "vault-policy": Case(vault_token(), V + "rights", "vault policy write", 2),
    "vault-no-logins": Case(
        policies(ci=vault.POLICY.replace("clusters/+", "else/+")), V + "workloads", "step 4", state="warning",
    ),
    "vault-no-workloads": Case(policies(workloads=""), V + "workloads", "vault policy write", state="warning"),
    "vault-open-workloads": Case(
        policies(workloads=vault.WORKLOADS.replace("deny", "read")), V + "workloads", "vault policy write",
    ),
    "vault-token-ends": Case(
        vault_token(policies=["ci"], period="", ttl="24h"), V + "token", "vault token create", state="warning",
    ),
    "vault-token-not-renewed": Case(
        vault_token(policies=["ci"], period="48h"), V + "token", "renew_vault_token.py", state="warning",
    ),
    "vault-root-token": Case(
        vault_token(policies=["root"], period=""), V + "token", "vault token create", state="warning",
    ),
    "clock": Case(lab_fault({"clock": 300}), C + "clock", "timedatectl"),
    "env-open": Case(open_env, C + ".env", "chmod 600"),
    "env-misspelt": Case(in_env("VM_NAMES=", "VM_CROES=2\nVM_NAMES="), C + ".env", "correct"),
    "no-ansible": Case(no_ansible, C + "Ansible", "scripts/setup_venv.sh"),
    "no-terraform": Case(setting(TERRAFORM="terrafrom"), C + "Terraform", "install"),
    "forge-token-unknown": Case(setting(GITHUB_TOKEN="ghs_unknown-unknown"), G + "repository", "gh auth token", 3),
    "forge-token-without-rights": Case(forge(tokens={"ghs_without-rights": []}), G + "repository", "read access", 3),
    "runner-offline": Case(forge(runner={"status": "offline"}), G + "runner", "svc.sh start"),
    "secret-missing": Case(forge(secrets={"PG_CONN_STR": None}), G + "secrets", "gh secret set PG_CONN_STR"),
}  # fmt: skip


@pytest.fixture(scope="module")
def usual(well) -> dict[str, str]:
    return {}


def test_all_is_well(asks, usual):
    asked = asks.ask()
    assert {key: line for key, line in asked.lines.items() if line["state"] in ("red", "warning")} == {}
    assert asked.code == 0
    usual |= asked.states()
    for value in secrets():
        assert value not in asked.text


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_fault_makes_its_line_red_and_no_other(asks, usual, well, case):
    usual = usual or asks.ask().states()
    with case.fault(well):
        asked = asks.ask()
        hidden = secrets()
    line = asked.lines[case.line]
    assert (line["state"], asked.code) == (case.state, int(case.state == "red")), line
    assert case.mend in line["mend"], line
    assert line["wanted"]
    changed = {
        key: line for key, line in asked.lines.items() if key != case.line and line["state"] != usual.get(key)
    }
    reasons = {line["found"].partition(":")[0] for line in changed.values()}
    assert {line["state"] for line in changed.values()} <= {"skipped"}, changed
    assert reasons <= {"not asked"}, changed
    assert len(changed) == case.unasked or (case.unasked == 99 and len(changed) > 9), changed
    assert {key.partition("/")[0] for key in changed} <= {case.line.partition("/")[0]}
    for value in [*hidden, "geheim-geheim", "00000000-0000"]:
        assert value not in asked.text


def test_a_token_that_may_see_little_has_less_asked(asks, usual, well):
    usual = usual or asks.ask().states()
    with forge(tokens={"ghs_reader-reader": ["metadata"]})(well):
        asked = asks.ask()
    assert asked.code == 0
    assert "lacks Administration: read" in asked.lines["GitHub/runner"]["found"]
    assert "lacks Secrets: read" in asked.lines["GitHub/secrets"]["found"]


def test_services_that_hang_take_no_longer_than_it_says(asks, well):
    """A socket that accepts and never answers, for all four at once."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        port = deaf.getsockname()[1]
        began = time.monotonic()
        with env(
            PROXMOX_VE_ENDPOINT=f"https://127.0.0.1:{port}/", VAULT_ADDR=f"http://127.0.0.1:{port}",
            PG_CONN_STR=f"postgres://me:geheim-geheim@127.0.0.1:{port}/x", GITHUB_API_URL=f"http://127.0.0.1:{port}",
        ):  # fmt: skip
            asked = asks.ask()
    assert time.monotonic() - began < 15
    red = {key for key, line in asked.lines.items() if line["state"] == "red"}
    assert red == {"Proxmox/endpoint", "Vault/address", "Terraform's state/database", "GitHub/repository"}
    assert asked.states()["This computer/clock"] == "skipped"


def test_proxmox_8_is_told_the_name_that_it_knows(asks, usual, well):
    """VM.Monitor, which became VM.GuestAgent.Audit; each version refuses the other's name."""
    with without("VM.GuestAgent.Audit")(well), faults.injected({"release": 8}):
        lines = asks.ask().lines
    assert lines["Proxmox/version"]["found"] == "8.4.14"
    assert "-privs VM.Monitor`" in lines["Proxmox/may ask guest agents"]["mend"]
