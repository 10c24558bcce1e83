"""Single lines: what counts as well, what as a warning, what as red."""

import os
import subprocess
import time
from functools import partial
from types import SimpleNamespace

import pytest

from fleet import paths
from fleet.doctor import checks, computer, configured, guests, proxmox, rights, state, storages, vault
from fleet.doctor.line import Check
from fleet.doctor.proxmox import Reached
from fleet.doctor.run import each, run
from fleet.proxmox.errors import Refused
from fleet.proxmox.guest import Guest
from fleet.terraform import program
from tests.helpers import https_server

GIB = 1 << 30
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0j4dVbWg0yQ0mSxG3S0vVvWcPzV5cWQ0bXyX0w1v9a me\n"


def pve(**more):
    given = {"endpoint": "https://pve:8006/", "insecure": False, "reached": Reached()}
    return SimpleNamespace(**given | more)


CERTIFICATES = {
    "long": (pve(reached=Reached(days=300)), "ok", "trusted, 300 days left"),
    "soon": (pve(reached=Reached(days=20)), "warning", "trusted, 20 days left"),
    "any": (pve(insecure=True), "warning", "not looked at: PROXMOX_VE_INSECURE is true"),
    "none": (pve(endpoint="http://localhost:8006/"), "skipped", "http, on this computer only, has none"),
}
VERSIONS = {"8.3.5": "red", "8.4.1": "ok", "9.0.10": "ok", "9.2": "ok", "10.0.1": "warning"}
ENDS = {"never": (0, "ok"), "unseen": (None, "ok"), "later": (90, "ok"), "soon": (3, "warning")}
CLOCKS = {
    "right": ({"Proxmox": 0.6, "Vault": -1.2}, "ok", "1 s off at most"),
    "one": ({"Proxmox": None, "Vault": 2.0}, "ok", "2 s off at most"),
    "behind": ({"Proxmox": 300.0, "Vault": 0.0}, "red", "300 s behind Proxmox"),
    "ahead": ({"Proxmox": -61.0, "Vault": -61.0}, "red", "61 s ahead of Proxmox; 61 s ahead of Vault"),
    "unknown": ({"Proxmox": None}, "skipped", "not asked: no service answered whose clock it could be compared with"),
}  # fmt: skip
SPACE = {"enough": (50, "ok"), "little": (3, "warning"), "none": (0.5, "red")}


@pytest.mark.parametrize(("one", "state_", "found"), CERTIFICATES.values(), ids=CERTIFICATES)
def test_certificate(one, state_, found):
    line = proxmox.certificate(one)
    assert (line.state, line.found) == (state_, found)


def test_an_endpoint_in_a_file_that_cannot_be_read_is_not_missing():
    assert proxmox.endpoint(pve(endpoint=""), unread=True).state == "skipped"
    assert proxmox.endpoint(pve(endpoint=""), unread=False).state == "red"


@pytest.mark.parametrize(("version", "state_"), VERSIONS.items())
def test_version(version, state_):
    assert proxmox.version(pve(reached=Reached(version=version))).state == state_


@pytest.mark.parametrize(("days", "state_"), ENDS.values(), ids=ENDS)
def test_the_end_of_a_token(days, state_):
    """As Proxmox lists it to the token that may look: 0 is never."""
    seconds = days and int(time.time()) + days * proxmox.DAY + 60
    listed = [{"userid": "a@pve", "expire": 0, "tokens": [{"tokenid": "b", "expire": seconds}]}]
    client = SimpleNamespace(if_told=lambda path, **more: None)
    reader = SimpleNamespace(if_told=lambda path, **more: None if days is None else listed)
    line = rights.token(pve(token="a@pve!b=0-1", client=client, reader=reader))
    assert line.state == state_
    assert days is None or f"{f'{days} days left' if days else 'no end'}" in line.found


@pytest.mark.parametrize(("offsets", "state_", "found"), CLOCKS.values(), ids=CLOCKS)
def test_clock(offsets, state_, found):
    line = computer.clock(offsets)
    assert (line.state, line.found) == (state_, found)


@pytest.mark.parametrize(("gib", "state_"), SPACE.values(), ids=SPACE)
def test_disk_space(monkeypatch, gib, state_):
    monkeypatch.setattr(computer.shutil, "disk_usage", lambda path: SimpleNamespace(free=int(gib * GIB)))
    assert computer.space().state == state_


KEYS = {
    "one": (KEY, "ok", "1 in "),
    "none": ("# nobody yet\n", "warning", "has none"),
    "private": ("-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n", "red", "is a private key"),
}


@pytest.mark.parametrize(("text", "state_", "found"), KEYS.values(), ids=KEYS)
def test_public_keys(tmp_path, monkeypatch, text, state_, found):
    monkeypatch.setenv("VM_SSH_KEYS_FILE", str(tmp_path / "keys"))
    (tmp_path / "keys").write_text(text)
    line = computer.authorized_keys()
    assert line.state == state_
    assert found in line.found


def test_a_missing_package_is_named(monkeypatch):
    assert computer._unusable("python-dotenv") == ""
    assert computer._unusable("no-such-package") == "no-such-package is missing"
    monkeypatch.setitem(computer._MODULES, "requests", "no_such_module")
    line = computer.packages(computer.imported())
    assert (line.state, line.found) == ("red", "requests is missing")


def test_another_version_of_a_package_is_a_warning(monkeypatch):
    monkeypatch.setattr(computer, "_locked", lambda: {"requests": "1.0"})
    line = computer.packages(computer.imported())
    assert line.state == "warning"
    assert line.found.startswith("requests ") and line.found.endswith(", locked is 1.0")


def test_terraform_has_its_version(tmp_path, monkeypatch):
    tofu = tmp_path / "tofu"
    tofu.write_text("#!/bin/sh\necho OpenTofu v1.11.4\n")
    tofu.chmod(0o755)
    monkeypatch.setenv("TERRAFORM", str(tofu))
    assert (computer.terraform().found, program.check()) == ("OpenTofu 1.11.4", "OpenTofu")


@pytest.mark.parametrize(
    ("body", "state_", "found"),
    [
        ("echo Tag: v1.12.0", "ok", "v1.12.0 ("),
        ("exit 1", "warning", "talosctl version: exit code 1"),
        (None, "warning", "which is not a program"),
    ],
)
def test_talosctl(tmp_path, monkeypatch, body, state_, found):
    program = tmp_path / "talosctl"
    if body:
        program.write_text(f"#!/bin/sh\n{body}\n")
        program.chmod(0o755)
    monkeypatch.setenv("TALOSCTL", str(program))
    line = configured.talosctl()
    assert (line.state, bool(line.mend)) == (state_, state_ != "ok")
    assert found in line.found


@pytest.mark.parametrize(("name", "asked"), [("talos-prod-w1", True), ("k8s-prod-w1", False)])
def test_talosctl_is_asked_for_where_a_machine_needs_it(tmp_path, monkeypatch, name, asked):
    (tmp_path / f"{name}.yaml").touch()
    monkeypatch.setattr(configured, "VMS_DIR", tmp_path)
    assert any(one.name == "talosctl" for one in checks.checks(None)) is asked


def test_an_env_file_in_git_is_red(tmp_path, monkeypatch):
    monkeypatch.setenv("PROXMOX_GITOPS_ENV", str(tmp_path / ".env"))
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    assert configured.env_file("").state == "skipped"
    (tmp_path / ".env").write_text("VM_CORES=2\n")
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    assert configured.env_file("").state == "ok"
    subprocess.run(["git", "-C", tmp_path, "add", "-f", ".env"], check=True)
    line = configured.env_file("")
    assert line.state == "red"
    assert "git rm --cached" in line.mend


ENVIRONMENTS = {
    "good": ("PROXMOX_VE_ENDPOINT=https://pve:8006/\nVM_BRIDGE=vmbr7\n", ""),
    "with-a-fault": ("PROXMOX_VE_ENDPOINT=https://pve:8006/\nVM_BRIDGE=vmbr7\nVM_BRIGDE=1\n", "VM_BRIDGE"),
    "older-names": ("PROXMOX_API_URL=https://pve:8006/\nVM_BRIDGE=vmbr7\nVM_BRIDGE=vmbr7\n", "line 2"),
}


@pytest.mark.parametrize(("text", "problem"), ENVIRONMENTS.values(), ids=ENVIRONMENTS)
def test_values_count_also_where_the_file_has_faults(tmp_path, monkeypatch, text, problem):
    (tmp_path / ".env").write_text(text)
    for name in ("PROXMOX_VE_ENDPOINT", "VM_BRIDGE", "GITHUB_ACTIONS"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("PROXMOX_GITOPS_ENV", str(tmp_path / ".env"))
    said = configured.load_env()
    assert problem in said and bool(problem) == bool(said)
    assert os.environ["PROXMOX_VE_ENDPOINT"] == "https://pve:8006/"
    assert configured.setting("VM_BRIDGE") == "vmbr7"


def test_another_backend_is_named_and_not_asked(tmp_path, monkeypatch):
    monkeypatch.setattr(state, "PROXMOX_DIR", tmp_path)
    monkeypatch.setenv("PG_CONN_STR", "postgres://me:x@db/x")
    assert state.backend().state == "ok"
    (tmp_path / "backend_override.tf").write_text('terraform {\n  backend "s3" {}\n}\n')
    line = state.backend()
    assert (line.state, line.found.endswith("names the backend s3, which is not asked")) == ("skipped", True)


def entry(content: str, free: int, active: int = 1) -> dict:
    return {"content": content, "total": 100 * GIB, "avail": free * GIB, "active": active}


STORAGES = {
    "half": ({"local": entry("images,import", 50)}, {}, ["ok", "ok", "ok"]),
    "full": ({"local": entry("images,import", 3)}, {}, ["ok", "ok", "red"]),
    "nearly": ({"local": entry("images,import", 8)}, {}, ["ok", "ok", "warning"]),
    "inactive": ({"local": entry("images,import", 50, active=0)}, {}, ["red", "red", "ok"]),
    "named": (
        {"local": entry("images,import", 50)},
        {"VM_NAMES": "a", "VM_NODES": "n1"},
        ["red", "ok", "ok"],
    ),
}


@pytest.mark.parametrize(("seen", "env", "states"), STORAGES.values(), ids=STORAGES)
def test_storages(monkeypatch, seen, env, states):
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    one = pve(storages={"n1": seen})
    lines = list(storages.storages(one))
    assert [line.state for line in lines] == states
    assert all(line.mend for line in lines if line.state != "ok")


def test_the_machines_are_those_of_the_vm_files(tmp_path, monkeypatch):
    monkeypatch.setattr(configured, "VMS_DIR", paths.VMS_DIR)
    assert configured.machines() == []  # the examples are not managed
    text = "name: k8s-dev\ntarget_node: node01\ncores: 2\nmemory: 2048\nclone: a-template\n"
    (tmp_path / "k8s-dev.yaml").write_text(
        text + 'ipconfig0: "ip=dhcp"\nciuser: me\ndisks: {scsi0: {size: 9G, storage: s}}\n'
    )
    (tmp_path / "broken.yaml").write_text("name: [broken")
    monkeypatch.setattr(configured, "VMS_DIR", tmp_path)
    assert [one.name for one in configured.machines()] == ["k8s-dev"]


RIGHTS = {
    "all": ({vault.PLACE: ["create", "read", "update"], "kv/data/pw": ["read"]}, "ok", ""),
    "root": ({vault.PLACE: ["root"], "kv/data/pw": ["root"]}, "ok", ""),
    "no-password": (
        {vault.PLACE: ["create", "read", "update"], "kv/data/pw": ["deny"]},
        "red",
        'path "kv/data/pw" { capabilities = ["read"] }',
    ),
    "no-write": (
        {vault.PLACE: ["read"], "kv/data/pw": ["read"]}, "red", 'capabilities = ["create", "read", "update"]',
    ),
}  # fmt: skip


@pytest.mark.parametrize(("has", "state_", "mend"), RIGHTS.values(), ids=RIGHTS)
def test_rights_in_vault(monkeypatch, has, state_, mend):
    """On the kubeconfig, and on the passwords that VM files name."""
    machine = SimpleNamespace(hardware=SimpleNamespace(cipassword="kv/pw#root"))
    monkeypatch.setattr(vault, "machines", lambda: [machine])
    sys = SimpleNamespace(get_capabilities=lambda paths: {"data": {path: has[path] for path in paths}})
    line = vault.rights(SimpleNamespace(client=SimpleNamespace(sys=sys)))
    assert line.state == state_
    assert mend in line.mend


OFF = (500, "QEMU guest agent is not running")
AGENTS = {
    "all-answer": ({"a": "1", "b": "enabled=1,fstrim_cloned_disks=1", "c": "0"}, {}, "ok", "2 of 2 answer"),
    "one-silent": (
        {"a": "1", "b": "1"},
        {"b": OFF},
        "warning",
        "1 of 2 silent: b",
    ),
    "times-out": (
        {"a": "1"}, {"a": (500, "VM 1 qga command 'guest-get-osinfo' failed - got timeout")},
        "warning", "1 of 1 silent: a",
    ),
    "stopped-meanwhile": ({"a": "1", "b": "1"}, {"b": (500, "VM 2 is not running")}, "ok", "1 of 1 answer"),
    "removed-meanwhile": (
        {"a": "1", "b": "1"}, {"b": (500, "Configuration file 'nodes/n1/qemu-server/2.conf' does not exist")},
        "ok", "1 of 1 answer",
    ),
    "none": ({"a": "0"}, {}, "skipped", "no running machine has one"),
    "many": ({f"m{number}": "1" for number in range(60)}, {}, "ok", "50 of 50 answer, 10 more not asked"),
}  # fmt: skip


@pytest.mark.parametrize(("config", "silent", "state_", "found"), AGENTS.values(), ids=AGENTS)
def test_guest_agents(config, silent, state_, found):
    one = agents_of(config, silent)
    line = guests.agents(one)
    assert (line.state, line.found) == (state_, found)
    assert bool(line.mend) == (state_ == "warning")


def test_no_agent_is_asked_once_time_is_up():
    line = guests.agents(agents_of({"a": "1", "b": "1"}, {}), seconds=0)
    assert (line.state, line.found) == ("skipped", "2 not asked, since Proxmox is slow")


def agents_of(config, silent):
    """A Proxmox with these running machines; `silent`: what it answers in place of an agent's answer."""
    names = dict(enumerate(config, 1))

    def get(path):
        name = names[int(path.split("/")[3])]
        if name in silent:
            raise Refused(silent[name][1], silent[name][0])

    running = [Guest(vmid, name, "n1", False, "running", "") for vmid, name in names.items()]
    client = SimpleNamespace(config=lambda node, vmid: {"agent": config[names[vmid]]}, get=get)
    return pve(guests=running, online=["n1"], client=client, lacks=lambda *_: "")


def test_many_questions_at_once_are_nothing_to_tell(tmp_path, monkeypatch, caplog):
    """More connections than requests keeps: it says on standard error that it closes some."""
    pem = https_server.certificate(tmp_path)
    with https_server.serving(pem, {f"slow{number}": (200, "OK", "slow") for number in range(32)}) as url:
        monkeypatch.setenv("PROXMOX_VE_ENDPOINT", url)
        monkeypatch.setenv("PROXMOX_VE_API_TOKEN", "a@pve!b=0-1")
        monkeypatch.setenv("SSL_CERT_FILE", str(pem))
        one = proxmox.Proxmox()

        def ask(first):
            each(lambda number: one.client.if_told(f"slow{number}"), range(first, first + 8))
            return proxmox.Line("slow", "all")

        found = run([Check("Proxmox", str(first), partial(ask, first)) for first in range(0, 32, 8)])
        one.client.session.close()
    assert {line.state for line in found} == {"red"}  # "slow" is no JSON
    assert [record.getMessage() for record in caplog.records] == []
