"""The action `proxmox_api` in plays that are started elsewhere and without a configuration."""

import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote, unquote

import pytest
import yaml

from fleet.paths import PLAYBOOKS_DIR, PROXMOX_DIR, ROOT
from tests.helpers.https_server import certificate, serving

ANSIBLE = Path(sys.executable).with_name("ansible-playbook")
TOKEN = "ci@pve!gitops=00000000-secret"
UPID = "UPID:node01:0000A1B2:00C3D4E5:66554433:qmreboot:120:ci@pve!gitops:"
STATUS = f"nodes/node01/tasks/{quote(UPID, safe='')}/status"


def answers(exitstatus: str = "OK") -> dict:
    return {
        "cluster/resources": (200, "OK", {"data": [{"name": "k8s-dev"}]}),
        "reboot": (200, "OK", {"data": UPID}),
        STATUS: (200, "OK", {"data": {"status": "stopped", "exitstatus": exitstatus}}),
        STATUS.replace("/status", "/log"): (
            200,
            "OK",
            {"data": [{"n": 1, "t": "asking the guest to shut down"}]},
        ),
        "config": (200, "OK", {"data": {"cores": 2, "cipassword": "**********", "digest": "d1"}}),
        "forbidden": (403, "Permission check failed", {}),
    }


@pytest.fixture
def play(tmp_path):
    pem = certificate(tmp_path)

    def played(*calls: dict, options: tuple = (), exitstatus: str = "OK") -> tuple[list, list, str]:
        """The result of each call, what the API was asked, and the output."""
        asked: list = []
        with serving(pem, answers(exitstatus), asked) as endpoint:
            common = {"endpoint": endpoint, "api_token": "{{ lookup('ansible.builtin.env', 'TOKEN') }}"}
            tasks = [
                {"proxmox_api": common | call, "delegate_to": "localhost", "ignore_errors": True,
                 "register": f"result{number}"}
                for number, call in enumerate(calls)
            ]  # fmt: skip
            results = ", ".join(f"result{number}" for number in range(len(calls)))
            told = {"copy": {"content": f"{{{{ [{results}] | to_json }}}}", "dest": f"{tmp_path}/results"},
                    "check_mode": False, "delegate_to": "localhost"}  # fmt: skip
            book = [{"hosts": "k8s-dev", "gather_facts": False, "tasks": [*tasks, told],
                     "roles": [str(PLAYBOOKS_DIR / "roles/proxmox_api")]}]  # fmt: skip
            (tmp_path / "play.yml").write_text(yaml.safe_dump(book))
            clean = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
            done = subprocess.run(
                [ANSIBLE, "-i", "k8s-dev,", tmp_path / "play.yml", *options],
                cwd=tmp_path, env=clean | {"SSL_CERT_FILE": str(pem), "TOKEN": TOKEN},
                capture_output=True, text=True,
            )  # fmt: skip
        output = done.stdout + done.stderr
        assert done.returncode == 0, output
        assert TOKEN.partition("=")[2] not in output
        return json.loads((tmp_path / "results").read_text()), asked, output

    return played


DOCUMENTATION = PROXMOX_DIR / "library/proxmox_api.py"
ACTION = PLAYBOOKS_DIR / "roles/proxmox_api/action_plugins/proxmox_api.py"
SOURCES = {
    "documentation": yaml.safe_load(runpy.run_path(str(DOCUMENTATION))["DOCUMENTATION"])["options"],
    "action": runpy.run_path(str(ACTION))["OPTIONS"],
}
CALLS = (
    {"action": "get", "path": "/cluster/resources", "data": {"type": "vm"}},
    {"action": "call", "path": "reboot", "data": {"timeout": 3}, "timeout": 5},
)


def test_calls(play):
    (listed, restarted, refused, wrong), asked, _ = play(
        *CALLS,
        {"action": "get", "path": "forbidden"},
        {"action": "call", "path": "x", "method": "PATCH"},
        options=("-vvv",),
    )
    assert (listed["data"], listed["changed"]) == ([{"name": "k8s-dev"}], False)
    assert (restarted["data"], restarted["exitstatus"], restarted["changed"]) == (UPID, "OK", True)
    assert refused["failed"]
    assert "Proxmox lacks a right for GET forbidden (403 Permission check failed)" in refused["msg"]
    assert wrong["failed"] and "value of method must be one of: POST, PUT, DELETE" in wrong["msg"]
    assert asked[:2] == [("GET", "cluster/resources", "type=vm"), ("POST", "reboot", "timeout=3")]


def test_a_task_that_fails(play):
    (failed,), _, output = play(CALLS[1], exitstatus="VM quit/powerdown failed - got timeout")
    assert failed["failed"]
    assert (
        "qmreboot of 120 on node01 failed: VM quit/powerdown failed - got timeout; its log says: asking"
        in failed["msg"]
    )
    assert (failed["upid"], failed["log"]) == (UPID, ["asking the guest to shut down"])
    assert f"  {UPID}\n  asking the guest to shut down\n" in output.replace("  k8s-dev: ", "  ")


def test_check_mode_only_reads(play):
    (listed, restarted), asked, _ = play(*CALLS, options=("--check",))
    assert listed["data"] == [{"name": "k8s-dev"}]
    assert restarted["skipped"] and not restarted["changed"]
    assert asked == [("GET", "cluster/resources", "type=vm")]


ENSURE = {"action": "ensure", "path": "config", "want": {"cores": 4, "name": "x", "cipassword": "0-geheim"}}


@pytest.mark.parametrize("check", [(), ("--check",)])
def test_ensure_sends_the_difference_and_tells_it_without_secrets(play, check):
    (made, same), asked, output = play(ENSURE, ENSURE | {"want": {"cores": 2}}, options=("--diff", *check))
    assert (made["changed"], same["changed"]) == (True, False)
    assert made["diff"] == {"before": {"cores": "2", "name": ""}, "after": {"cores": "4", "name": "x"}}
    sent = [body for method, _, body in asked if method == "PUT"]
    assert sent == ([] if check else ["cores=4&name=x&digest=d1"])
    assert "cipassword is set already" in output and "geheim" not in output


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "one of the following is required: action, run"),
        ({"action": "get", "run": "lifecycle.verify"}, "mutually exclusive: action|run"),
        ({"action": "ensure", "path": "x"}, "action is ensure but all of the following are missing: want"),
        (
            {"endpoint": "https://pve", "action": "get", "path": "x", "api_token": "nonsense"},
            "does not have the form",
        ),
        ({"action": "get"}, "action is get but all of the following are missing: path"),
        ({"run": "proxmox.client"}, "proxmox.client is not a step"),
        ({"run": "lifecycle.verify.read"}, "lifecycle.verify.read is not a step"),
    ],
    ids=["nothing", "both", "no want", "a wrong token", "no path", "another room", "a function of a module"],
)
def test_wrong_arguments(play, given, words):
    (failed,), asked, _ = play(given)
    assert failed["failed"] and words in failed["msg"]
    assert asked == []


def options(name: str) -> dict:
    """The documentation's options, or the action's, in one form."""
    found = {}
    for option, about in SOURCES[name].items():
        kept = {key: value for key, value in about.items() if key in ("type", "choices", "default")}
        found[option] = kept
    return found


def test_the_documentation_has_the_options_of_the_action():
    assert options("documentation") == options("action")


def test_the_documentation_is_what_ansible_shows_and_does_nothing():
    done = subprocess.run(
        [ANSIBLE.with_name("ansible-doc"), "-t", "module", "proxmox_api"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "Calls Proxmox VE's API with the client" in done.stdout
    for command in (
        [ANSIBLE.with_name("ansible"), "localhost", "-m", "proxmox_api", "-a", "action=get path=version"],
        [sys.executable, DOCUMENTATION],
    ):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode and "name that role in the dependencies" in done.stdout


GUEST = "nodes/node01/qemu/120"
OF_DOCS = {
    "cluster/resources": (200, "OK", {"data": [{"name": "k8s-dev"}]}),
    f"{GUEST}/status/reboot": (200, "OK", {"data": UPID}),
    STATUS: (200, "OK", {"data": {"status": "stopped", "exitstatus": "OK"}}),
    f"{GUEST}/config": (200, "OK", {"data": {"cores": 2, "net0": "virtio=BC:24:11:00:00:01", "balloon": 9}}),
}


@pytest.mark.parametrize(("insecure", "said"), [("false", 0), ("true", 1)])
def test_the_play_of_the_docs(tmp_path, insecure, said):
    """With address and token from the environment."""
    page = (ROOT / "docs/tools.md").read_text()
    (tmp_path / "play.yml").write_text("".join(re.findall(r"```yaml\n(.*?)```", page, re.S)))
    pem, asked = certificate(tmp_path), []
    with serving(pem, OF_DOCS, asked) as endpoint:
        env = os.environ | {
            "PROXMOX_VE_ENDPOINT": endpoint, "PROXMOX_VE_API_TOKEN": TOKEN, "PROXMOX_VE_INSECURE": insecure,
            "SSL_CERT_FILE": str(pem), "ANSIBLE_CONFIG": str(PROXMOX_DIR / "ansible.cfg"),
        }  # fmt: skip
        done = subprocess.run([ANSIBLE, tmp_path / "play.yml"], env=env, capture_output=True, text=True)
    assert done.returncode == 0 and "changed=2" in done.stdout, done.stdout + done.stderr
    sent = [(method, unquote(body)) for method, path, body in asked if path == f"{GUEST}/config"]
    wanted = "cores=4&net0=bridge=vmbr0,tag=7,virtio=BC:24:11:00:00:01&delete=balloon"
    assert sent == [("GET", ""), ("PUT", wanted)]
    assert (done.stdout + done.stderr).count("PROXMOX_VE_INSECURE is set") == said
