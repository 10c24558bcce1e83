"""What the playbooks of K3s do on members of larger clusters, with real Ansible and before a machine is touched."""

import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

from fleet.ansible import command
from fleet.paths import PLAYBOOKS_DIR, PROXMOX_DIR, ROOT


def play(folder: Path, playbook: Path, inventory: str, *options: str) -> tuple[dict, str]:
    """The counters of each host, and what Ansible printed."""
    hosts, results = folder / "hosts.ini", folder / "results.json"
    hosts.write_text(f"{inventory}\n[all:vars]\nansible_python_interpreter={sys.executable}\n")
    environment = os.environ | command.LOCALE | {
        "ANSIBLE_CONFIG": str(PROXMOX_DIR / "ansible.cfg"), "ANSIBLE_BECOME": "False",
        "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "scripts/callback_plugins"), "FLEET_RESULTS": str(results),
        "VAULT_ADDR": "http://127.0.0.1:1", "VAULT_TOKEN": "x",
    }  # fmt: skip
    argv = [command.command("ansible-playbook"), playbook, "-i", hosts, *options]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=300, check=False)
    return json.loads(results.read_text())["hosts"], done.stdout + done.stderr


def test_a_cluster_whose_members_all_failed_is_not_planned_again(tmp_path):
    playbook = tmp_path / "described.yml"
    playbook.write_text(f"""
- hosts: all
  gather_facts: false
  vars_files: [{PLAYBOOKS_DIR}/roles/k8s_ha/vars/main.yml]
  tasks:
    - ansible.builtin.set_fact: {{k8s_ha_settings: {{}}}}
    - ansible.builtin.fail:
      when: inventory_hostname in ['k8s-a-cp01', 'k8s-b-cp02']
    - ansible.builtin.copy: {{content: "{{{{ k8s_ha_described.targets | to_json }}}}", dest: {tmp_path}/targets}}
""")
    names = ["k8s-a-cp01", "k8s-b-cp01", "k8s-b-cp02", "k8s-b-w01"]
    play(tmp_path, playbook, "\n".join(f"{name} ansible_connection=local" for name in names))
    assert list(json.loads((tmp_path / "targets").read_text())) == names[1:]


def test_data_whose_token_vault_lost_is_not_written_over(tmp_path):
    tasks = yaml.safe_load((PLAYBOOKS_DIR / "roles/k8s_ha/tasks/look.yml").read_text())
    playbook = tmp_path / "own.yml"
    given = {"k8s_ha_answers": ["data etcd"], "k8s_ha_cluster": "k8s-a", "k8s_ha_token_path": "/token"}
    given["k8s_ha_plan"] = {"token": "a.c", "server_token": "{{ full }}", "starts": "{{ starts }}"}
    given["k8s_ha_config"] = f"{tmp_path}/{{{{ inventory_hostname }}}}.yaml"
    chosen = [one for one in tasks if "token in Vault" in one["name"] or "whose token" in one["name"]]
    play_of = {"hosts": "all", "gather_facts": False, "vars": given, "tasks": chosen}
    playbook.write_text(yaml.safe_dump([play_of]))
    for name, token in (("own", "a.c"), ("other", "abc"), ("joins", "abc"), ("known", "abc")):
        (tmp_path / f"{name}.yaml").write_text(f'cluster-init: true\ntoken: "{token}"\n')
    lines = {
        name: f"{name} ansible_connection=local full='' starts={name}" for name in ("own", "other", "none")
    }
    lines["joins"] = "joins ansible_connection=local full='' starts=own"
    lines["known"] = "known ansible_connection=local full=K10 starts=known"
    found, said = play(tmp_path, playbook, "\n".join(lines.values()))
    assert {name for name in lines if found[name]["failures"]} == {"other", "none"}, said
    assert "other has the data of a cluster whose token is not in Vault" in said and "a.c" not in said


def test_the_playbook_of_single_machines_refuses_members(tmp_path):
    names = ["k8s-a-cp01", "k8s-a-w01", "k8s-b"]
    inventory = """
k8s-b ansible_connection=local
[k3s]
k8s-b
[k3s:children]
k3s_control_plane
k3s_workers
[k3s_control_plane]
k8s-a-cp01 ansible_connection=local
[k3s_workers]
k8s-a-w01 ansible_connection=local
"""
    options = ("--check", "--tags=k3s_check", "-e", "target_hosts=k3s", "-e", "ansible_become=false")
    found, said = play(tmp_path, PLAYBOOKS_DIR / "k8s.yml", inventory, *options)
    assert {name: found[name]["failures"] for name in names} == {
        "k8s-a-cp01": 1,
        "k8s-a-w01": 1,
        "k8s-b": 0,
    }, said
    assert "k8s-a-cp01 is a member of a larger cluster" in said
