"""A machine that was taken over: its Python answers every module with facts of its choice.

Each playbook runs on it as a person starts it. Nothing of the machine's may run on the controller, which asks
only the addresses that the environment gives.
"""

import base64
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from fleet import names
from fleet.ansible import play as playbooks
from fleet.paths import PLAYBOOKS_DIR, ROOT
from tests.clusters.test_ready import kubeconfig, pair, server  # noqa: F401  (fixtures)

ANSIBLE = Path(sys.executable).with_name("ansible-playbook")
ROLES = PLAYBOOKS_DIR / "roles"
PLAYBOOKS = sorted(names.playbook_names(PLAYBOOKS_DIR))  # that run on machines
TOKEN = "ci@pve!gitops=the-token-of-vault-or-proxmox"


@pytest.fixture
def service() -> Iterator[ThreadingHTTPServer]:
    """A server that notes what it is asked, and answers as Proxmox does; `asked` holds path and secrets."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.server.asked.append(f"{self.path} {self.headers}")
            data: object = [{"name": "k8s-dev", "node": "node01", "vmid": 120}]
            if "/pending" in self.path or "/log?" in self.path:
                data = []
            elif "/tasks/" in self.path:
                data = {"status": "stopped", "exitstatus": "OK"}
            elif "/reboot" in self.path:
                data = "UPID:node01:0:0:0:qmreboot:120:x:"
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"data": data}).encode())

        do_POST = do_PUT = do_GET

        def log_message(self, *_: object) -> None:
            pass

    servers = []

    def start() -> ThreadingHTTPServer:
        made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        made.asked = []
        threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True).start()
        servers.append(made)
        return made

    yield start
    for one in servers:
        one.shutdown()
        one.server_close()


def machine(folder: Path, text: str, thief: str, canary: Path) -> Path:
    """An inventory with one machine, k8s-dev, whose interpreter is hostile."""
    evil = folder / "evil"
    evil.mkdir()
    script = evil / "script.py"
    script.write_text(f"open({str(canary)!r}, 'w')\n")
    port = int(thief.rpartition(":")[2].strip("/"))
    frontends = [{"name": "x", "port": port, "backend": "k3s_api"}]
    vault = {"vault_addr": thief, "vault_token": TOKEN, "address": "127.0.0.1", "port": 6443, "timeout": 1}
    facts = {
        "k3s_update_kubeconfig": "/dev/stdin",
        "k3s_vault_addr": thief, "vault_addr": thief,
        "k3s_controller": vault | {
            "update_kubeconfig": "/dev/stdin", "register_cluster": str(script), "wait_for_api": str(script),
        },
        "reboot_endpoint": thief, "reboot_api": thief,
        "reboot_scan_host_keys": str(script),
        "reboot_controller": {"script": str(script), "endpoint": thief, "api_token": TOKEN, "timeout": 1},
        "haproxy_frontends": frontends,
        "haproxy_controller": {"frontends": frontends, "timeout": 1},
        "ansible_playbook_python": str(script), "role_path": str(evil), "playbook_dir": str(evil),
    }  # fmt: skip
    content = base64.b64encode(text.encode()).decode()
    # The version is what the role wants to see before it goes on to the controller's part.
    answer = {"changed": False, "rc": 0, "stdout": "k3s version v1.34.4+k3s1", "stderr": "",
              "ping": "pong", "ansible_facts": facts,
              "stat": {"exists": False},
              "content": content, "encoding": "base64", "source": "/etc/rancher/k3s/k3s.yaml"}  # fmt: skip
    (evil / "answer.json").write_text(json.dumps(answer))
    interpreter = evil / "python3"
    interpreter.write_text(f"#!/bin/sh\ntouch {folder}/asked\ncat >/dev/null\ncat {evil}/answer.json\n")
    interpreter.chmod(0o755)
    inventory = folder / "k8s.ini"
    inventory.write_text(
        "[k3s]\nk8s-dev\n[all]\n"
        "k8s-dev ansible_host=127.0.0.1 ansible_connection=local ansible_become=false"
        f" ansible_python_interpreter={interpreter} ansible_remote_tmp={evil}/tmp\n"
    )
    return inventory


def play(playbook: str, inventory: Path, *options: str, cwd: Path = ROOT, **env: str) -> tuple[int, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "VAULT_"))}
    done = subprocess.run(
        [ANSIBLE, PLAYBOOKS_DIR / f"{playbook}.yml", "-i", inventory, "-e", "target_hosts=k8s-dev",
         "-e", "reboot_timeout=5", "-e", "haproxy_check_timeout=1", "-e", "k3s_api_timeout=1", *options],
        cwd=cwd, env=clean | env, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def polyglot(text: str, canary: Path) -> str:
    """The kubeconfig as text that is YAML, and Python that makes the canary's file."""
    data = yaml.safe_load(text)
    for entry in (*data["clusters"], *data["users"]):
        entry["name"] = "default"
    context = {"name": "default", "context": {"cluster": "default", "user": "default"}}
    data = json.dumps({"apiVersion": "v1", "kind": "Config", "contexts": [context]} | data)
    return f"{data[:-1]}, \"x\": [__import__('pathlib').Path('{canary}').touch()]}}"


# How far each goes with one machine, k8s-dev: to the controller's own part after the machine has answered. The plays of
# clusters of several machines end before that: they first ask Vault and the clusters for a plan.
FAR = {
    "k8s": "Merge the kubeconfig",
    "renew": "Merge the kubeconfig",
    "haproxy": "Connect to each frontend",
    "reboot": "Wait for SSH",
}


def test_every_playbook_meets_a_hostile_machine():
    assert {*PLAYBOOKS} == {*FAR, "k8s-ha", "talos"}


@pytest.mark.parametrize("server", [200], indirect=True)
@pytest.mark.parametrize("playbook", FAR)
def test_a_hostile_machine_reaches_nothing_but_itself(playbook, pair, server, service, tmp_path):  # noqa: F811
    thief, known, canary = service(), service(), tmp_path / "canary"
    text = polyglot(kubeconfig(pair, server), canary)
    inventory = machine(tmp_path, text, f"http://127.0.0.1:{thief.server_port}", canary)
    address = f"http://127.0.0.1:{known.server_port}"
    _, output = play(
        playbook, inventory,
        VAULT_ADDR=address, VAULT_TOKEN=TOKEN, PROXMOX_VE_ENDPOINT=address, PROXMOX_VE_API_TOKEN=TOKEN,
    )  # fmt: skip
    assert not canary.exists(), output
    assert thief.asked == [], output
    assert FAR[playbook] in output, output
    if playbook != "haproxy":
        assert any(TOKEN in request for request in known.asked), output


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_a_play_is_refused_where_facts_become_variables(playbook, service, tmp_path):
    thief, canary = service(), tmp_path / "canary"
    inventory = machine(tmp_path, "", f"http://127.0.0.1:{thief.server_port}", canary)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for cwd, env in ((elsewhere, {}), (ROOT, {"ANSIBLE_INJECT_FACT_VARS": "true"})):
        code, output = play(playbook, inventory, cwd=cwd, **env)
        assert code == 2
        assert "a machine that was taken over could run code here" in output
        assert not (tmp_path / "asked").exists()
    first = "--tags=always"  # what the controller settles, and nothing of the roles
    code, output = play(playbook, inventory, first, cwd=elsewhere, ANSIBLE_INJECT_FACT_VARS="false")
    assert code == 0 or playbook == "k8s-ha", output  # which asks Vault for its plan, and there is none


def test_the_scripts_set_it_whatever_the_configuration_says(monkeypatch, tmp_path):
    monkeypatch.setenv("ANSIBLE_INJECT_FACT_VARS", "true")
    environment = playbooks._environment(tmp_path / "k8s.ini", tmp_path / "known", tmp_path / "results", "")
    assert environment["ANSIBLE_INJECT_FACT_VARS"] == "False"


def tasks(data: object, delegated: bool = False) -> Iterator[str]:
    """The text of every task that runs on the controller, blocks included."""
    for task in data or ():
        here = delegated or task.get("delegate_to") == "localhost"
        if "block" in task:
            yield from tasks(task["block"], here)
        elif here:
            yield yaml.safe_dump(task, width=10**6)


def plays(playbook: str) -> list[dict]:
    return yaml.safe_load((PLAYBOOKS_DIR / f"{playbook}.yml").read_text())


def imports(data: object) -> Iterator[tuple[str, str]]:
    """The roles that tasks bring in, each with the file of its tasks, blocks included."""
    for task in data or ():
        yield from imports(task.get("block"))
        if one := task.get("ansible.builtin.import_role"):
            yield one["name"], one.get("tasks_from", "main")


def roles_of(play: dict) -> list[tuple[str, str]]:
    """The roles of a play with the files of their tasks, in the order in which they come."""
    listed = [(entry["role"], "main") for entry in play.get("roles", ())]
    return [*imports(play.get("pre_tasks")), *listed, *imports(play.get("tasks"))]


# Roles of plays that reach no machine: all that these do is done on the controller.
LOCAL = {
    one[0] for book in PLAYBOOKS for play in plays(book) if play.get("connection") for one in roles_of(play)
}


@pytest.mark.parametrize("role", sorted(path.parent.name for path in ROLES.glob("*/tasks")))
def test_no_default_decides_what_the_controller_does(role):
    """Facts would outrank defaults: what runs on the controller uses what `controller.yml` settled."""
    defaults, variables = (
        yaml.safe_load(path.read_text()) if path.exists() else {}
        for path in (ROLES / role / "defaults/main.yml", ROLES / role / "vars/main.yml")
    )
    texts = [
        text
        for path in (ROLES / role / "tasks").glob("*.yml")
        if path.stem != "controller"
        for text in tasks(yaml.safe_load(path.read_text()), delegated=role in LOCAL)
    ]
    assert bool(texts) == (ROLES / role / "tasks/controller.yml").exists()
    while found := {
        name for name in variables or () if any(re.search(rf"\b{name}\b", text) for text in texts)
    }:
        texts += [str(variables.pop(name)) for name in found]
    used = {name for name in defaults or () for text in texts if re.search(rf"(?<![\w.]){name}\b", text)}
    assert not used


def test_every_playbook_settles_its_controllers_part_first():
    for playbook in PLAYBOOKS:
        met: set[str] = set()
        for role, file in (one for play in plays(playbook) for one in roles_of(play)):
            if role not in met and (ROLES / role / "tasks/controller.yml").exists():
                assert file == "controller", f"{playbook}: {role}"
            met.add(role)
        for task in plays(playbook)[0]["pre_tasks"]:
            assert "ansible.builtin.meta" in task or task["tags"] == ["always"], playbook
