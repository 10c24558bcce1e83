"""playbooks/deploy.yml against a play that includes the role proxmox_vm for each machine, one after the other."""

import tempfile
from pathlib import Path

import yaml

from bench import ROOT, Command, Row, grown, label, medians
from lab import network
from lab.environment import environment
from tests.helpers.hollow import hollow_proxmox

NOTE = """
`make deploy` without generate_config.py, each machine a linked clone with two more disks, against one play with
`include_role: proxmox_vm` in a loop, without any check beforehand. Both on a Proxmox of the lab whose machines are not
started; the machines of the run before are removed in between. 20 machines are measured once.
"""
SIZES = [1, 20]
LOOP = """\
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - ansible.builtin.include_role: {name: proxmox_vm}
      loop: "{{ deploy_machines }}"
      vars:
        proxmox_vm_name: "{{ item.proxmox_vm_name }}"
        proxmox_vm_template_name: "{{ item.proxmox_vm_template_name }}"
        proxmox_vm_disks: "{{ item.proxmox_vm_disks }}"
"""


def machines(count: int) -> list[dict]:
    disks = {f"scsi{slot}": {"size": "10G", "storage": "tank"} for slot in (1, 2)}
    return [
        {
            "proxmox_vm_name": f"vm-{number}",
            "proxmox_vm_template_name": "ubuntu24-template",
            "proxmox_vm_disks": disks,
        }
        for number in range(count)
    ]


def rows(runs: int) -> list[Row]:
    found = []
    with tempfile.TemporaryDirectory(prefix="bench-") as place, hollow_proxmox(Path(place)):
        env = {name: value for name, value in environment().items() if name != "PG_CONN_STR"}
        env |= {
            "ANSIBLE_CONFIG": str(ROOT / "proxmox/ansible.cfg"),
            "ANSIBLE_ROLES_PATH": "proxmox/playbooks/roles",
        }
        for size in SIZES:
            config, loop = Path(place, "vm_config.yml"), Path(place, "loop.yml")
            config.write_text(yaml.safe_dump({"deploy_machines": machines(size)}))
            loop.write_text(LOOP)
            clean = ["scripts/cleanup_vms.py", "--config", str(config), "--confirm-delete"]

            def fresh(clean=clean):
                Command(network.inside_argv(["python3", *clean]), ROOT, env=env).seconds()

            given = {"deploy": ["-e", f"deploy_config={config}"], "loop": ["-e", f"@{config}"]}
            ours = ["ansible-playbook", "proxmox/playbooks/deploy.yml", *given["deploy"]]
            other = ["ansible-playbook", str(loop), *given["loop"]]
            taken = medians(
                runs if size == 1 else 1,
                *(Command(network.inside_argv(argv), ROOT, fresh, env) for argv in (ours, other)),
            )
            found.append(Row("make deploy / include_role in a loop", label(size, "machine"), *taken))
    return grown(found, SIZES)
