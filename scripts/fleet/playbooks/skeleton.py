"""The files of a new playbook: what each is called, and its text. NAME is the playbook's, ROLE its role's."""

PLAYBOOK = """\
---
# NAME on each named machine. Say here what it sets up.
#
#   ansible-playbook proxmox/playbooks/NAME.yml -i proxmox/k8s.ini -e target_hosts=MACHINE
#
# needs: nothing
- name: Set up NAME
  hosts: "{{ target_hosts | mandatory('name the machines: -e target_hosts=MACHINE') }}"
  become: true
  gather_facts: false
  roles:
    - role: ROLE
      tags: [ROLE]
"""

DEFAULTS = """\
---
# The lines that the role writes into the file.
ROLE_lines: ["set up by NAME"]

# The file, and the user that owns it.
ROLE_file: /etc/NAME.conf
ROLE_owner: root
"""

SPECS = """\
---
argument_specs:
  main:
    short_description: NAME on a machine
    options:
      ROLE_lines:
        description: The lines that the role writes into the file.
        type: list
        elements: str
      ROLE_file:
        description: Path of the file.
        type: path
      ROLE_owner:
        description: User that owns the file.
        type: str
"""

TASKS = """\
---
# Replace this by what NAME is. A second run must change nothing, and `--check` must work.
- name: Write the file
  ansible.builtin.copy:
    content: "{{ ROLE_lines | join('\\n') }}\\n"
    dest: "{{ ROLE_file }}"
    owner: "{{ ROLE_owner }}"
    mode: "0644"
  tags: [ROLE]
  timeout: 60
"""

VM = """\
# A machine for NAME. Copy it to proxmox/vms/app-1.yaml and fill in your node, template and addresses; a file that ends
# in .yaml in that folder becomes a machine. Commit it with the tag [ansible NAME].
name: app-1
target_node: node01
cores: 2
memory: 2048
clone: ubuntu24-template
ipconfig0: ip=192.168.1.50/24,gw=192.168.1.1
ciuser: suporte
playbook_vars:
  ROLE_lines: [hello]
"""

TEST = '''\
"""The playbook NAME without a machine: its contract, its variables, and runs on this computer."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROXMOX = Path(__file__).resolve().parents[2] / "proxmox"
LOCAL = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "ansible_become": False}


def play(folder: Path, *options: str, **variables) -> subprocess.CompletedProcess[str]:
    """The playbook on a machine of a made-up inventory, which is this computer; it writes into `folder` alone."""
    folder.mkdir(exist_ok=True)
    user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    own = {"ROLE_file": f"{folder}/file", "ROLE_owner": user} | LOCAL | variables
    (folder / "hosts.json").write_text(json.dumps({"all": {"hosts": {"app-1": own}}}))
    command = [Path(sys.executable).with_name("ansible-playbook"), PROXMOX / "playbooks/NAME.yml"]
    command += ["-i", folder / "hosts.json", "-e", "target_hosts=app-1", *options]
    environment = os.environ | {"ANSIBLE_CONFIG": str(PROXMOX / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    environment |= {"LC_ALL": "C.UTF-8"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_it_holds_to_the_contract():
    script = PROXMOX.parent / "scripts/validate_playbooks.py"
    done = subprocess.run([sys.executable, script, "NAME"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_dry_run_then_a_run_then_a_second_one(tmp_path):
    dry = play(tmp_path, "--check")
    assert dry.returncode == 0 and "changed=1" in dry.stdout, dry.stdout + dry.stderr
    assert not (tmp_path / "file").exists()
    first = play(tmp_path)
    assert first.returncode == 0 and "changed=1" in first.stdout, first.stdout + first.stderr
    assert (tmp_path / "file").read_text() == "set up by NAME\\n"
    second = play(tmp_path)
    assert second.returncode == 0 and "changed=0" in second.stdout, second.stdout + second.stderr


@pytest.mark.parametrize("wrong", [{"ROLE_lines": {"a": 1}}])
def test_wrong_variables_are_refused_before_anything_is_done(tmp_path, wrong):
    done = play(tmp_path, **wrong)
    assert done.returncode != 0 and "Validation of arguments failed" in done.stdout + done.stderr
    assert not (tmp_path / "file").exists()
'''


def files(name: str) -> dict[str, str]:
    """Path from the repository's root to text, for a playbook of this name."""
    role = role_of(name)
    places = {
        f"proxmox/playbooks/{name}.yml": PLAYBOOK,
        f"proxmox/playbooks/roles/{role}/defaults/main.yml": DEFAULTS,
        f"proxmox/playbooks/roles/{role}/meta/argument_specs.yml": SPECS,
        f"proxmox/playbooks/roles/{role}/tasks/main.yml": TASKS,
        f"proxmox/vms/{name}.yaml.example": VM,
        f"tests/custom/test_{role}.py": TEST,
    }
    return {path: text.replace("ROLE", role).replace("NAME", name) for path, text in places.items()}


def role_of(name: str) -> str:
    """The role's name, with which its variables begin: letters, digits and _."""
    return name.replace("-", "_").lower()
