"""playbook_vars: what a VM file may say, and what a play gets of it, with the real Ansible and a real Vault."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

import run_plays
import validate_vms
from fleet.paths import PLAYBOOKS_DIR
from fleet.playbooks import source, variables
from fleet.rules import file as rules
from fleet.terraform import tfvars
from fleet.vms.files import load_text
from tests.helpers import vault_server
from tests.helpers.machines import made, text

LOCAL = f"ansible_connection=local ansible_python_interpreter={sys.executable}"
PASSWORD = "p4ss {{ word }} 'quoted' \"twice\" # é \\ \n two lines"

CHECKED = [
    ({"k3s_extra_args": ["--disable=traefik"], "n": 5, "yes_": True, "a": {"b": [1.5, "x"]}}, ""),
    ({"motd": "line 1\nline 2"}, ""),
    ({"db_password": "vault:kv/playbooks/myapp#password"}, ""),
    ({"db": {"password": "vault:kv/playbooks/team/my-app_1#db.password"}}, ""),
    ({"k8s_ha_token_path": "kv/x", "secrets_encryption": True, "public_key": "ssh-ed25519 A", "db_password": ""}, ""),
    ({}, "error playbook_vars has no variables; give some or remove it"),
    ([], "error playbook_vars"),
    ("x", "error playbook_vars"),
    ({"ansible_host": "10.0.0.1"}, "error playbook_vars.ansible_host is not for a VM file to say"),
    ({"ANSIBLE_user": "root"}, "error playbook_vars.ANSIBLE_user is not for a VM file to say"),
    ({"target_hosts": "all"}, "error playbook_vars.target_hosts is not for a VM file to say"),
    ({"vault_addr": "https://other"}, "error playbook_vars.vault_addr is not for a VM file to say"),
    ({"k3s_vault_addr": "https://other"}, "error playbook_vars.k3s_vault_addr is not for a VM file to say"),
    ({"talos_vault_addr": "https://other"}, "error playbook_vars.talos_vault_addr is not for a VM file to say"),
    ({"talos_vault_token": "vault:kv/playbooks/x#y"}, "error playbook_vars.talos_vault_token is not for a VM"),
    ({"reboot_endpoint": "https://other:8006"}, "error playbook_vars.reboot_endpoint is not for a VM file to say"),
    ({"reboot_insecure": True}, "error playbook_vars.reboot_insecure is not for a VM file to say"),
    ({"disk_mounts": "scsi1:/x"}, "error playbook_vars.disk_mounts is not for a VM file to say"),
    ({"my-app": 1}, "error playbook_vars.my-app is not a variable's name"),
    ({"class": 1}, "error playbook_vars.class is not a variable's name"),
    ({"a": "{{ lookup('pipe', 'id') }}"}, "error playbook_vars.a has a template"),
    ({"a": [{"b": "{% if x %}"}]}, "error playbook_vars.a.0.b has a template"),
    ({"a": "vault:kv/cluster-bootstrap/k8s-prod#token"}, "error playbook_vars.a is not a place in Vault that"),
    ({"a": "vault:kv/playbooks/../x#y"}, "error playbook_vars.a is not a place in Vault"),
    ({"a": "vault:kv/playbooks/x"}, "error playbook_vars.a is not a place in Vault"),
    ({"db_password": "hunter2"}, "error playbook_vars.db_password looks like a secret by its name"),
    ({"db": {"adminPassword": "hunter2"}}, "error playbook_vars.db.adminPassword looks like a secret"),
    ({"tokens": 1, "api_token": ["hunter2"]}, "error playbook_vars.api_token.0 looks like a secret"),
    ({"api_key": "hunter2"}, "warning playbook_vars.api_key looks like a secret"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "said"), CHECKED)
def test_what_a_file_may_say(value, said):
    vm, read = load_text("a.yaml", text("a", playbook_vars=value))
    found = [f"{one.level} {one.message.replace(': ', ' ', 1)}" for one in [*read, *rules.check(vm)]]
    assert len(found) == bool(said), found
    assert not said or found[0].startswith(said)
    assert "hunter2" not in "".join(found)


def test_a_version_keeps_its_zero(tmp_path, capsys):
    (tmp_path / "a.yaml").write_text(text("a") + "playbook_vars:\n  app_version: 1.10\n")
    assert validate_vms.main(["--vms-dir", str(tmp_path), "--format", "text"]) == 1
    said = (
        "playbook_vars.app_version: would become the number 1.1; if it is text, such as a version, quote it"
    )
    assert said in capsys.readouterr().err


def test_terraform_never_sees_them():
    plain, given = made("a"), made("a", playbook_vars={"x": 1})
    assert given.playbook_vars == {"x": 1}
    assert tfvars.as_data(given) == tfvars.as_data(plain)


def test_no_role_takes_the_address_or_the_token_of_a_service_from_a_vm_file():
    """Whatever a role's default takes from the controller's environment and is a secret, or is given one."""
    asked = re.compile(r"^(\w+):.*lookup\('ansible.builtin.env', '(?:VAULT|PROXMOX)_\w+'\)", re.M)
    files = [PLAYBOOKS_DIR / f"roles/{role}/defaults/main.yml" for role in ("k3s", "talos", "reboot")]
    names = [name for file in files for name in asked.findall(file.read_text())]
    assert len(names) == 7
    for name in names:
        vm, _ = load_text("a.yaml", text("a", playbook_vars={name: "vault:kv/playbooks/x#y"}))
        assert [one.field for one in rules.check(vm)] == [f"playbook_vars.{name}"]


LOOKUP = "{{ lookup('community.hashi_vault.vault_kv2_get', 'playbooks/myapp', engine_mount_point='kv').secret.number }}"
PLAY = """# needs: nothing
- hosts: "{{ target_hosts }}"
  gather_facts: false
  vars:
    names: [where, list, secret, other, mine, beside]
  tasks:
    - ansible.builtin.copy:
        content: "{{ dict(names | zip(names | map('extract', vars))) | to_json }}"
        dest: "{{ out }}/{{ inventory_hostname }}.json"
        mode: "0600"
    - ansible.builtin.copy:
        content: "{{ hostvars['haproxy-a'].haproxy_vip }} {{ hostvars['haproxy-a'].secret }}"
        dest: "{{ out }}/{{ inventory_hostname }}.other"
        mode: "0600"
    - ansible.builtin.command:
        argv: ["{{ ansible_playbook_python }}", "{{ out }}/spy.py"]
"""
# What others on this computer could see while the play runs: command lines, environments, files.
SPY = """
import glob, os, sys
seen = []
for path in glob.glob("/proc/[0-9]*/cmdline") + glob.glob("/proc/[0-9]*/environ"):
    try:
        seen.append(open(path, "rb").read())
    except OSError:
        pass
for folder in (FOLDER, os.environ["TMPDIR"]):
    for top, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(top, name)
            if not os.path.islink(path) and not name.endswith(".json"):
                seen.append(open(path, "rb").read())
open(FOLDER + "/seen", "w").write(str(sum(b"p4" + b"ss" in text for text in seen)) + " of " + str(len(seen)))
"""


@pytest.fixture(scope="module")
def vault():
    with vault_server.running() as running:
        fields = {"password": PASSWORD, "number": 7, "none": None}
        running.request("POST", "kv/data/playbooks/myapp", {"data": fields})
        yield running


class Fleet:
    """A folder of a fleet with machines, which are this computer."""

    def __init__(self, folder: Path):
        self.folder = folder
        (folder / "vms").mkdir()
        (folder / "playbooks").mkdir()
        (folder / "playbooks/app.yml").write_text(PLAY)
        (folder / "ansible.cfg").write_text("[defaults]\nretry_files_enabled = False\n")
        (folder / "spy.py").write_text(SPY.replace("FOLDER", repr(str(folder))))
        self.lines: list[str] = []

    def add(self, name: str, line: str = "", /, **fields) -> None:
        (self.folder / f"vms/{name}.yaml").write_text(text(name, **fields))
        self.lines.append(f"{name} ansible_host=192.168.1.20 {LOCAL} {line}")

    def run(self, hosts: str) -> int:
        out = [
            "[all:vars]",
            f"out={self.folder}",
            "where=inventory",
            "list=none",
            "secret=none",
            "other=none",
            "mine=x",
        ]
        (self.folder / "k8s.ini").write_text("\n".join([*self.lines, *out, "beside=x"]) + "\n")
        (self.folder / "new_hosts.txt").write_text("")
        places = {
            "inventory": "k8s.ini",
            "queue": "new_hosts.txt",
            "playbooks-dir": "playbooks",
            "known-hosts": "known",
        }
        options = [f"--{option}={self.folder / name}" for option, name in places.items()]
        return run_plays.main([*options, "--no-publish", "--playbook=app", f"--hosts={hosts}"])

    def got(self, name: str) -> dict:
        return json.loads((self.folder / f"{name}.json").read_text())


@pytest.fixture
def fleet(tmp_path, monkeypatch, vault):
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    (tmp_path / "tmp").mkdir()
    for name, value in {
        "VAULT_ADDR": vault.url,
        "VAULT_TOKEN": vault.token,
        "TMPDIR": tmp_path / "tmp",
    }.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setattr("tempfile.tempdir", None)
    return Fleet(tmp_path)


def test_a_play_gets_them_and_nobody_else_sees_the_secrets(fleet, capfd):
    reference = "vault:kv/playbooks/myapp#password"
    fleet.add("haproxy-a", playbook_vars={"haproxy_vip": "192.168.1.9", "secret": reference})
    fleet.add("k8s-a", "mine=line", playbook_vars={
        "where": "file", "list": ["--disable=traefik", {"a": True}], "secret": reference, "mine": "file",
        "other": {"deep": ["vault:kv/playbooks/myapp#number"]}, "beside": "file",
    })  # fmt: skip
    fleet.add("k8s-b")
    (fleet.folder / "host_vars").mkdir()
    (fleet.folder / "host_vars/k8s-a.yml").write_text("beside: host_vars\n")
    (fleet.folder / "host_vars/k8s-b.yml").write_text(
        f'other: "{LOOKUP}"\nmine: vault:kv/playbooks/myapp#password\n'
    )
    (fleet.folder / "group_vars").mkdir()
    (fleet.folder / "group_vars/all.yml").write_text("where: group_vars\nlist: group_vars\n")
    assert fleet.run("k8s-a,k8s-b") == 0
    assert fleet.got("k8s-a") == {
        "where": "file", "list": ["--disable=traefik", {"a": True}], "secret": PASSWORD,
        "other": {"deep": [7]}, "mine": "line", "beside": "host_vars",
    }  # fmt: skip
    assert fleet.got("k8s-b") == {
        "where": "group_vars", "list": "group_vars", "secret": "none", "other": 7, "beside": "x",
        "mine": "vault:kv/playbooks/myapp#password",
    }  # fmt: skip
    # Another machine's variables are there, and its secrets are not.
    assert (fleet.folder / "k8s-b.other").read_text() == "192.168.1.9 none"
    assert re.fullmatch(r"0 of \d\d+", (fleet.folder / "seen").read_text())
    streams = capfd.readouterr()
    assert "p4ss" not in streams.out + streams.err
    assert list((fleet.folder / "tmp").iterdir()) == []


def test_ansible_alone_is_refused_where_it_would_miss_them(fleet, monkeypatch):
    """It would set a machine back to a role's defaults."""
    monkeypatch.setenv("ANSIBLE_ROLES_PATH", str(PLAYBOOKS_DIR / "roles"))
    play = PLAY.replace("  tasks:", "  roles: [controller]\n  tasks:")
    play = play[: play.index("    - ansible.builtin.copy")] + "    - ansible.builtin.ping:\n"
    (fleet.folder / "playbooks/app.yml").write_text(play)
    (fleet.folder / "playbooks/roles").symlink_to(PLAYBOOKS_DIR / "roles")
    fleet.add("k8s-a", playbook_vars={"where": "file"})
    fleet.add("k8s-b")
    assert fleet.run("k8s-a,k8s-b") == 0
    command = [Path(sys.executable).with_name("ansible-playbook"), fleet.folder / "playbooks/app.yml"]
    command += ["-i", fleet.folder / "k8s.ini", "-e", "target_hosts=k8s-a,k8s-b"]
    settings = os.environ | {"ANSIBLE_INJECT_FACT_VARS": "false", "LC_ALL": "C.UTF-8", "ANSIBLE_NOCOLOR": "1"}
    done = subprocess.run(command, env=settings, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "vms/k8s-a.yaml has playbook_vars, which ansible-playbook does not read" in done.stdout
    assert re.search(r"^k8s-b +: ok=[1-9].* failed=0", done.stdout, re.M)


MISSING = {
    "vault:kv/playbooks/none#x": "Vault has no secret kv/playbooks/none; write it with `vault kv put kv/playb",
    "vault:kv/playbooks/myapp#x": "kv/playbooks/myapp has no x; add it with `vault kv patch kv/playbooks/myapp x=…`",
    "vault:kv/playbooks/myapp#none": "kv/playbooks/myapp has no none",
}  # fmt: skip


@pytest.mark.parametrize("reference", MISSING)
def test_a_secret_that_is_missing_stops_its_machine_alone(fleet, capfd, reference):
    fleet.add("k8s-a", playbook_vars={"db": {"pass": reference}})
    fleet.add("k8s-b", playbook_vars={"where": "file"})
    fleet.add("k8s-c", playbook_vars={"where": "{{ x }}"})
    assert fleet.run("k8s-a,k8s-b,k8s-c") == 1
    streams = capfd.readouterr()
    assert f"vms/k8s-a.yaml:9:24: playbook_vars.db.pass: {MISSING[reference]}" in streams.err
    assert "vms/k8s-c.yaml:9:17: playbook_vars.where: has a template" in streams.err
    assert fleet.got("k8s-b")["where"] == "file"
    assert not (fleet.folder / "k8s-a.json").exists() and not (fleet.folder / "k8s-c.json").exists()
    assert len(re.findall(r"^k8s-[ac] +app +not started", streams.out, re.M)) == 2


def test_a_token_that_may_not_read_names_the_policy(fleet, vault, monkeypatch):
    monkeypatch.setenv("VAULT_TOKEN", vault.new_token("default"))
    fleet.add("k8s-a", playbook_vars={"a": "vault:kv/playbooks/myapp#password"})
    found = variables.given(["k8s-a"], ["k8s-a"], fleet.folder / "vms")
    (finding,) = found.refused["k8s-a"]
    assert "to read kv/playbooks/myapp for playbook_vars of k8s-a" in finding.message
    assert "lacks read on kv/data/playbooks/myapp" in finding.message


def test_a_file_of_another_machine_that_is_wrong_is_an_error_of_the_run(fleet):
    fleet.add("k8s-a", playbook_vars={"a": 1})
    fleet.add("haproxy-a", playbook_vars={"haproxy_vip": "{{ x }}"})
    found = variables.given(["k8s-a"], ["k8s-a", "haproxy-a", "k8s-x"], fleet.folder / "vms")
    assert found.variables == {"k8s-a": {"a": 1}} and not found.refused
    assert [one.field for one in found.others] == ["playbook_vars.haproxy_vip"]


def test_a_killed_run_leaves_no_secret_on_disk(tmp_path):
    """The link that stays points to memory that is gone with the process."""
    child = os.fork()
    if not child:
        with source.inventory(tmp_path, {"a": {"secret": "p4ss"}}) as (link,):
            (tmp_path / "read").write_text(link.read_text())
            time.sleep(60)
    end = time.monotonic() + 10
    while not (tmp_path / "read").exists() and time.monotonic() < end:
        time.sleep(0.02)
    os.kill(child, 9)
    os.waitpid(child, 0)
    assert "p4ss" in (tmp_path / "read").read_text()
    assert not (tmp_path / "variables.yaml").exists() and (tmp_path / "variables.yaml").is_symlink()
