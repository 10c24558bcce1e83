"""The role proxmox_vm, its scripts and playbooks: plays on a Proxmox whose machines are empty processes."""

import json
import os
import re
import subprocess
from collections.abc import Mapping
from typing import NamedTuple

import pytest
import yaml

from fleet.paths import PLAYBOOKS_DIR, PROXMOX_DIR, ROOT
from lab import network, secret
from lab.environment import environment
from lab.proxmox import cloudinit, faults, volumes

NODE = "node01"
ROLE = PLAYBOOKS_DIR / "roles/proxmox_vm"
STATES = ("create", "verify", "start", "stop", "shutdown", "modify", "remove")


class Play(NamedTuple):
    code: int
    output: str

    @property
    def changed(self) -> int:
        assert self.code == 0, self.output
        return int(re.search(r"changed=(\d+)", self.output)[1])


def run(argv: list[str], **env: str) -> Play:
    clean = {name: value for name, value in environment().items() if not name.startswith("ANSIBLE_")}
    clean |= {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0", **env}
    done = subprocess.run(network.inside_argv(argv), cwd=ROOT, env=clean, capture_output=True, text=True)
    assert secret("proxmox_token").partition("=")[2] not in done.stdout + done.stderr
    return Play(done.returncode, done.stdout + done.stderr)


def given(variables: Mapping[str, object]) -> list[str]:
    return ["-e", json.dumps(variables)] if variables else []


def platform(action: str, *options: str, **variables: object) -> Play:
    script = PROXMOX_DIR / "manage-platform.sh"
    return run([str(script), "-h", NODE, "proxmox_vm", action, "--", *options, *given(variables)])


def task(name: str, **variables: object) -> Play:
    return run(
        [str(PROXMOX_DIR / "platform-exec.sh"), "-h", NODE, "proxmox_vm", name, "--", *given(variables)]
    )


def test_the_life_of_a_machine(lab):
    wanted = {"vm_template_distribution": "ubuntu24", "vm_name": "app", "vm_disk_min_size": "20G"}
    checked = platform("create", "--check", "--diff", **wanted)
    assert lab.names() == {"ubuntu24-template"}
    made = platform("create", "--diff", "-vvv", **wanted)
    assert (checked.changed, made.changed) == (4, 4)
    assert re.findall(r"^[+-].*", checked.output, re.M) == re.findall(r"^[+-].*", made.output, re.M)
    again = platform("create", **wanted)
    assert again.changed == 0
    assert "is there already and is as asked for" in again.output
    assert "app (VMID 500 on node01) is stopped" in platform("verify", **wanted).output
    assert [platform("start", vm_name="app").changed for _ in range(2)] == [1, 0]
    grown = {"vm_name": "app", "vm_cores": 4, "proxmox_vm_tags": ["blue"]}
    assert platform("modify", "--check", **grown).changed == 1
    changed = platform("modify", **grown)
    assert "cores waiting for the next restart" in changed.output
    assert [changed.changed, platform("modify", **grown).changed] == [1, 0]
    assert [platform("shutdown", vm_name="app").changed for _ in range(2)] == [1, 0]
    assert platform("stop", vm_name="app").changed == 0
    refused = platform("remove", vm_name="app")
    assert refused.code != 0 and "set it to app" in refused.output
    assert [platform("remove", vm_name="app", proxmox_vm_confirm="app").changed for _ in range(2)] == [1, 0]
    assert lab.names() == {"ubuntu24-template"}


def test_vendor_data_goes_beside_what_proxmox_generates(lab, tmp_path, monkeypatch):
    folder = volumes.folder(NODE, "local") / "snippets"
    file, written = tmp_path / "vendor.yaml", folder / "gitops-app-vendor.yaml"
    file.write_text("#cloud-config\npackages: [qemu-guest-agent]\n")
    wanted = {
        "vm_template_distribution": "ubuntu24",
        "vm_name": "app",
        "proxmox_vm_vendor_data_file": str(file),
    }
    refused = platform("create", **wanted)
    assert refused.code != 0 and "PROXMOX_SNIPPETS is none" in refused.output
    assert lab.names() == {"ubuntu24-template"}
    monkeypatch.setenv("PROXMOX_SNIPPETS", "mounted")
    monkeypatch.setenv("PROXMOX_SNIPPETS_DIR", str(folder))
    made = platform("create", **wanted)
    assert made.changed == 4 and written.read_text() == file.read_text()
    guest = {"vmid": 500, "node": NODE}
    config = lab.config(guest)
    assert config["cicustom"] == "vendor=local:snippets/gitops-app-vendor.yaml"
    seed = cloudinit.seed(config, 500, NODE)
    assert seed["vendor-data"] == file.read_text()
    without = cloudinit.seed({key: value for key, value in config.items() if key != "cicustom"}, 500, NODE)
    assert {name: seed[name] for name in without} == without  # so its keys, name and instance stay
    assert platform("modify", **wanted).changed == 0
    file.write_text("#cloud-config\ntimezone: UTC\n")
    assert platform("modify", **wanted).changed == 1
    assert written.read_text() == file.read_text()
    assert platform("remove", vm_name="app", proxmox_vm_confirm="app").changed == 2
    assert not written.exists()


def test_one_variable_is_enough(lab):
    assert run(
        ["ansible-playbook", "proxmox/playbooks/site.yml", "-e", "vm_template_distribution=ubuntu24"]
    ).changed
    (name,) = lab.names() - {"ubuntu24-template"}
    assert re.fullmatch(r"ubuntu24-\d{6}", name)


def test_a_create_that_fails_leaves_nothing(lab):
    with faults.injected({"match": "TASK resize:", "error": "no space left on device"}):
        failed = platform(
            "create", vm_template_distribution="ubuntu24", vm_name="app", vm_disk_min_size="20G"
        )
    assert failed.code != 0
    assert "no space left on device" in failed.output
    assert "is removed again" in failed.output
    assert lab.names() == {"ubuntu24-template"}


def test_each_stage_can_be_run_alone(lab):
    wanted = {"vm_template_name": "ubuntu24-template", "vm_name": "app", "vm_disk_min_size": "20G"}
    assert "the template is ubuntu24-template (VMID 9000" in task("lookup_template", **wanted).output
    assert [task("clone", **wanted).changed for _ in range(2)] == [1, 0]
    assert [task("resize", **wanted).changed for _ in range(2)] == [1, 0]
    assert [task("configure_cloud_init", **wanted).changed for _ in range(2)] == [1, 0]
    unfinished = platform("verify", **wanted)
    assert unfinished.code != 0 and "run create again" in unfinished.output
    assert platform("create", **wanted).changed == 1  # the mark of a finished machine
    assert platform("verify", **wanted).changed == 0
    listed = run([str(PROXMOX_DIR / "platform-exec.sh"), "-h", NODE, "proxmox_vm"])
    assert listed.output.split() == sorted(path.stem for path in (ROLE / "tasks").glob("*.yml"))


EARLIER = """
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - ansible.builtin.include_role: {name: proxmox}
      vars: %s
"""


def test_earlier_playbooks_name_an_operation(lab, tmp_path):
    wanted = {"proxmox_operation": "create_vm", "proxmox_vm_name": "app", "proxmox_vm_vmid": 200,
              "proxmox_vm_node": NODE, "proxmox_vm_template_name": "ubuntu24-template"}  # fmt: skip
    (tmp_path / "play.yml").write_text(EARLIER % json.dumps(wanted))
    done = run(
        ["ansible-playbook", str(tmp_path / "play.yml")], ANSIBLE_ROLES_PATH=str(PLAYBOOKS_DIR / "roles")
    )
    assert done.changed and lab.names() == {"ubuntu24-template", "app"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "-h NODE is missing"),
        (["-h", "node01", "proxmox_vm"], "are needed"),
        (["-h", "../x", "proxmox_vm", "create"], "../x is not the name of a node"),
        (["-h", "node01", "proxmox_vm", "build"], "proxmox_vm has no action build"),
        (["-h", "node01", "proxmox_vm", "../create"], "proxmox_vm has no action ../create"),
        (["-h", "node01", "k3s", "create"], "k3s has no action create"),
        (["-h", "node01", "proxmox_vm", "create", "-e", "x=1"], "come after --"),
    ],
)
def test_wrong_usage(words, said):
    done = subprocess.run([PROXMOX_DIR / "manage-platform.sh", *words], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


@pytest.mark.parametrize("name", ["../main", "main.yml", "nothing", "-e"])
def test_a_task_is_a_file_of_the_role(name):
    argv = [PROXMOX_DIR / "platform-exec.sh", "-h", "node01", "proxmox_vm", name]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == 2


@pytest.mark.parametrize("script", ["manage-platform.sh", "platform-exec.sh"])
def test_help(script):
    done = subprocess.run([PROXMOX_DIR / script, "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith(f"Usage: {script} -h NODE PLATFORM")


def test_the_script_knows_the_states_of_the_role():
    files = yaml.safe_load((ROLE / "vars/main.yml").read_text())["proxmox_vm_files"]
    spec = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
    assert tuple(files) == STATES == tuple(spec["proxmox_vm_state"]["choices"])
    help_text = (PROXMOX_DIR / "manage-platform.sh").read_text()
    assert f"proxmox_vm         {' '.join(STATES)}\n" in help_text
    assert all((ROLE / "tasks" / file).exists() for file in files.values())


def test_each_variable_reaches_the_steps():
    """But for those that decide what is run; the vendor data reaches a step of its own."""
    names = set(yaml.safe_load((ROLE / "defaults/main.yml").read_text()))
    arguments = yaml.safe_load((ROLE / "vars/main.yml").read_text())["proxmox_vm_arguments"]
    others = {"proxmox_vm_state", "proxmox_vm_start", "proxmox_vm_vendor_data_file"}
    assert {f"proxmox_vm_{name}" for name in arguments} == names - others
    assert os.access(PROXMOX_DIR / "manage-platform.sh", os.X_OK)
