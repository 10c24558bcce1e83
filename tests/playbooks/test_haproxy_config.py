"""The role haproxy without a machine: what it would write, read by the real HAProxy, and what it refuses."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from fleet.paths import PLAYBOOKS_DIR
from tests.playbooks.test_playbooks import run

SERVER = {"name": "a", "address": "10.0.0.1", "port": 80}
WEB = {"name": "web", "servers": [SERVER]}
FRONT = {"name": "www", "port": 80, "backend": "web"}

# name: variables, a line that the configuration must have
RENDERED = {
    "default": ({}, "server k8s-dev 192.168.1.20:6443 check check-ssl verify none"),
    "tcp": ({"haproxy_backends": [WEB], "haproxy_frontends": [FRONT]}, "server a 10.0.0.1:80 check"),
    "http": (
        {
            "haproxy_backends": [
                WEB
                | {"mode": "http", "check": "http", "check_path": "/health", "check_host": "www.example.org"}
                | {"check_status": "200", "balance": "leastconn", "extra": ["cookie SRV insert"]}
            ],
            "haproxy_frontends": [FRONT | {"mode": "http", "extra": ["http-request set-header X-A b"]}],
        },
        "http-check send meth GET uri /health ver HTTP/1.1 hdr Host www.example.org",
    ),
    "two": (
        {
            "haproxy_backends": [WEB, WEB | {"name": "other"}],
            "haproxy_frontends": [FRONT, FRONT | {"name": "second", "port": 81, "backend": "other"}],
        },
        "default_backend other",
    ),
    "v6-server": (
        {
            "haproxy_backends": [WEB | {"servers": [SERVER | {"address": "2001:db8::1"}]}],
            "haproxy_frontends": [FRONT],
        },
        "server a [2001:db8::1]:80 check",
    ),
    "v6-any": (
        {"haproxy_backends": [WEB], "haproxy_frontends": [FRONT | {"address": "::"}]},
        "bind [::]:80 v4v6",
    ),
    "v6-loopback": (
        {"haproxy_backends": [WEB], "haproxy_frontends": [FRONT | {"address": "::1", "port": 8081}]},
        "bind [::1]:8081",
    ),
    "by-name": (
        {
            "haproxy_backends": [WEB | {"servers": [SERVER | {"address": "no.such.host"}]}],
            "haproxy_frontends": [FRONT],
        },
        "server a no.such.host:80 check",
    ),
    "stats": (
        {"haproxy_stats_address": "*", "haproxy_stats_port": 9000, "haproxy_stats_password": "p"},
        "stats auth admin:p",
    ),
    "stats-quoted": ({"haproxy_stats_password": "it's #1 \"$HOME\""}, """stats auth 'admin:it'\\''s #1 "$HOME"'"""),
    # By their names.
    "haproxy-prod": ({}, "server k8s-prod-cp01 192.168.1.41:6443 check check-ssl verify none"),
    "haproxy-prod-2": ({}, "server k8s-prod-cp02 k8s-prod-cp02:6443 check check-ssl verify none"),
    "haproxy-eu": ({}, "server talos-eu-cp1 192.168.1.51:6443 check check-ssl verify none"),
    "haproxy-eu-given": (
        {"haproxy_clusters": [{"name": "talos-eu", "port": 7443, "server_port": 443}]},
        "server talos-eu-cp1 192.168.1.51:443 check check-ssl verify none",
    ),
    "haproxy-prod-given": (
        {"haproxy_backends": [WEB], "haproxy_frontends": [FRONT]}, "server a 10.0.0.1:80 check"
    ),
    "clusters": (
        {
            "haproxy_clusters": [
                {"name": "k8s-prod"},
                {"name": "talos-eu", "port": 7443},
                {"name": "far", "port": 6444, "address": "127.0.0.9", "servers": [SERVER]},
                {"name": "group", "address": "::1", "group": "cluster_group"},
            ],
            "haproxy_backends": [WEB],
            "haproxy_frontends": [FRONT],
        },
        "server k8s-prod-w1 k8s-prod-w1:6443 check check-ssl verify none",
    ),
}  # fmt: skip

REFUSED = {
    "no-frontends": ({"haproxy_frontends": []}, "Give at least one of haproxy_backends"),
    "no-backends": ({"haproxy_backends": []}, "Give at least one of haproxy_backends"),
    "no-servers": (
        {"haproxy_backends": [WEB | {"servers": []}], "haproxy_frontends": [FRONT]},
        "Backend web has no server.",
    ),
    "no-such-backend": ({"haproxy_backends": [WEB]}, "Frontend k3s_api needs a backend k3s_api"),
    "other-mode": (
        {"haproxy_backends": [WEB], "haproxy_frontends": [FRONT | {"mode": "http"}]},
        "needs a backend web of the same mode",
    ),
    "no-port": ({"haproxy_frontends": [{"name": "x", "backend": "web"}]}, "missing required arguments: port"),
    "haproxy-both": ({}, "k8s-both and talos-both would both listen on *:6443."),
    "no-such-cluster": (
        {"haproxy_clusters": [{"name": "k8s-none"}]},
        "the inventory has no control plane of that cluster",
    ),
    "cluster-without-a-name": ({"haproxy_clusters": [{"port": 1}]}, "missing required arguments: name"),
    "one-port": (
        {"haproxy_clusters": [{"name": "k8s-prod"}, {"name": "talos-eu", "address": "::"}]},
        "k8s-prod and talos-eu would both listen on *:6443.",
    ),
    "port-of-the-statistics": (
        {"haproxy_clusters": [{"name": "k8s-prod", "port": 8404}]},
        "stats and k8s-prod would both listen",
    ),
    "one-name": (
        {"haproxy_backends": [WEB], "haproxy_frontends": [FRONT, FRONT | {"port": 81}]},
        "Two frontends are called www",
    ),
    "unknown-check": ({"haproxy_backends": [WEB | {"check": "ping"}]}, "must be one of: tcp, http, https"),
}


# The role's own checks and template, without a machine: tags leave out what would need one.
PLAY = """
- hosts: "{{ target_hosts }}"
  connection: local
  gather_facts: false
  vars:
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
  pre_tasks:
    - ansible.builtin.import_role: {name: haproxy, tasks_from: controller}
      tags: [always]
  roles:
    - role: haproxy
  tasks:
    - name: Render
      ansible.builtin.template:
        src: "{{ template }}"
        dest: "{{ playbook_dir }}/{{ inventory_hostname }}.cfg"
      tags: [haproxy_check]
"""


CLUSTERS = {
    "k3s": {
        "hosts": {"k8s-dev": {"ansible_host": "192.168.1.20"}},
        "children": {"k3s_control_plane": {}, "k3s_workers": {}},
    },
    "k3s_control_plane": {
        "hosts": {"k8s-prod-cp01": {"ansible_host": "192.168.1.41"}, "k8s-prod-cp02": {}, "k8s-both-cp1": {}}
    },
    "k3s_workers": {"hosts": {"k8s-prod-w1": {}}},
    "talos_control_plane": {
        "hosts": {"talos-eu-cp1": {"ansible_host": "192.168.1.51"}, "talos-both-cp1": {}}
    },
    "cluster_group": {"hosts": {"k8s-prod-w1": {}}},
}


def render(folder: Path, machines: dict[str, dict], groups: dict[str, dict]) -> dict[str, str]:
    """One run for all cases, each a machine with variables; what failed on which machine."""
    groups = groups | {"cases": {"hosts": machines}}
    (folder / "hosts.yml").write_text(yaml.safe_dump({"all": {"children": groups}}))
    (folder / "play.yml").write_text(PLAY)
    template = PLAYBOOKS_DIR / "roles/haproxy/templates/haproxy.cfg.j2"
    done = run(
        ["ansible-playbook", "play.yml", "-i", "hosts.yml", "--tags=haproxy_check", "--forks=4",
         "-e", "target_hosts=cases", "-e", f"template={template}"], folder,
        ANSIBLE_ROLES_PATH=str(PLAYBOOKS_DIR / "roles"), ANSIBLE_STDOUT_CALLBACK="ansible.posix.json",
        ANSIBLE_INJECT_FACT_VARS="false",
    )  # fmt: skip
    answer = json.loads(done.stdout[done.stdout.index("{") :])
    failed: dict[str, str] = {}
    for task in answer["plays"][0]["tasks"]:
        for name, result in task["hosts"].items():
            if result.get("failed"):
                failed[name] = json.dumps(result)
    return failed


@pytest.fixture(scope="module")
def rendered(tmp_path_factory) -> tuple[Path, dict[str, str]]:
    folder = tmp_path_factory.mktemp("haproxy")
    cases = {name: variables for name, (variables, _) in (RENDERED | REFUSED).items()}
    return folder, render(folder, cases, CLUSTERS)


@pytest.mark.parametrize("case", RENDERED)
def test_haproxy_accepts(case: str, rendered: tuple[Path, dict[str, str]]):
    folder, failed = rendered
    assert case not in failed
    config = folder / f"{case}.cfg"
    assert RENDERED[case][1] in [line.strip() for line in config.read_text().splitlines()]
    haproxy = shutil.which("haproxy", path=f"{os.environ['PATH']}:/usr/sbin")
    assert haproxy, "HAProxy is not installed (Debian: haproxy)"
    done = subprocess.run([haproxy, "-c", "-f", str(config)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "ALERT" not in done.stderr


@pytest.mark.parametrize("case", REFUSED)
def test_haproxy_variables_are_refused(case: str, rendered: tuple[Path, dict[str, str]]):
    folder, failed = rendered
    assert REFUSED[case][1] in failed.get(case, "")
    assert not (folder / f"{case}.cfg").exists()


def test_a_load_balancer_serves_its_own_clusters_alone(rendered: tuple[Path, dict[str, str]]):
    def servers(case: str) -> list[str]:
        lines = (rendered[0] / f"{case}.cfg").read_text().splitlines()
        return [line.split()[1] for line in lines if line.startswith("    server ")]

    assert servers("default") == ["k8s-dev"]  # a member is no cluster of its own
    assert servers("haproxy-prod") == servers("haproxy-prod-2") == ["k8s-prod-cp01", "k8s-prod-cp02"]
    assert servers("haproxy-eu") == servers("haproxy-eu-given") == ["talos-eu-cp1"]
    assert servers("haproxy-prod-given") == ["a"]
    assert servers("clusters") == ["k8s-prod-cp01", "k8s-prod-cp02", "talos-eu-cp1", "a", "k8s-prod-w1", "a"]


def test_nothing_to_balance(tmp_path: Path):
    assert (
        "the inventory has no single machine in [k3s]"
        in render(tmp_path, {"haproxy-dev": {}}, {})["haproxy-dev"]
    )
