"""The role proxmox_template without a Proxmox: its variables, their other names, and what each tag runs."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from fleet.builds import spec
from fleet.paths import PLAYBOOKS_DIR, PROXMOX_DIR, ROOT

ROLE = PLAYBOOKS_DIR / "roles/proxmox_template"
STATES = ["build", "destroy", "verify", "list", "cleanup"]
PREFLIGHT = "Check what the build needs, all at once"
IMAGE = "Bring the image onto the node's storage"
CREATE, CONFIGURE = "Create the machine with its disks and firmware", "Set size, cloud-init and devices"
CONVERT, CLONES = "Convert the machine", "Create each clone"
STAGES = [PREFLIGHT, IMAGE, CREATE, CONFIGURE, CONVERT, CLONES]
# Variables that decide what is run, and are none of a step's.
OWN = {"state", "convert", "create_clones", "clones", "confirm"}

# Other names of a variable, in the order in which they count: the seeds' and those of earlier playbooks.
OTHER_NAMES = {
    "image": ["proxmox_template_distribution", "template_distribution", "distribution"],
    "name": ["template_name"],
    "node": ["proxmox_node"],
    "vmid": ["template_vmid", "vm_id"],
    "storage": ["storage"],
    "cores": ["template_cores"],
    "memory": ["template_memory"],
    "bridge": ["bridge"],
    "disk_size": ["template_disk_size"],
    "tpm": ["enable_tpm"],
    "cloud_init_user": ["ciuser"],
    "cloud_init_ssh_keys_file": ["ssh_key_file"],
    "download_timeout": ["proxmox_iso_download_timeout"],
    "convert": ["make_template"],
    "create_clones": ["create_clones"],
    "clones": ["clones"],
}


def read(path: str) -> dict:
    return yaml.safe_load((ROLE / path).read_text())


def ansible(*options: object) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    argv = [Path(sys.executable).with_name("ansible-playbook"), *options]
    done = subprocess.run(
        argv, cwd=ROOT, env=clean | {"ANSIBLE_NOCOLOR": "1"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_each_variable_is_in_every_place():
    names = set(read("defaults/main.yml"))
    options = read("meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    arguments = read("vars/main.yml")["proxmox_template_arguments"]
    assert names == set(options)
    assert {f"proxmox_template_{name}" for name in [*arguments, *OWN]} == names
    assert all(text == f"{{{{ proxmox_template_{name} }}}}" for name, text in arguments.items())


def test_each_argument_is_read():
    """A control character is refused wherever it is given, and the variable is named."""
    arguments = read("vars/main.yml")["proxmox_template_arguments"]
    with pytest.raises(spec.Fault) as caught:
        spec.read(dict.fromkeys(arguments, "?\x07"))
    for name in arguments:
        assert f"proxmox_template_{name} " in str(caught.value), name


def test_the_states_are_the_same_everywhere():
    options = read("meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    files = read("vars/main.yml")["proxmox_template_files"]
    assert options["proxmox_template_state"]["choices"] == STATES == ["build", *files]
    help_text = (PROXMOX_DIR / "manage-platform.sh").read_text()
    assert f"proxmox_template   {' '.join(STATES)}\n" in help_text


def test_each_option_of_a_clone_reaches_the_role_that_makes_it():
    options = read("meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    (step, *_) = read("tasks/create-clone.yml")[0]["block"]
    found = {name for text in step["vars"].values() for name in re.findall(r"_clone\.(\w+)", str(text))}
    assert found == set(options["proxmox_template_clones"]["options"])
    known = set(yaml.safe_load((ROLE.with_name("proxmox_vm") / "defaults/main.yml").read_text()))
    assert set(step["vars"]) <= known


def test_every_other_name_reaches_its_variable(tmp_path):
    """One play for each place in the order, with a value of its own for each name."""
    canonical = {f"proxmox_template_{name}" for name in OTHER_NAMES}
    play = {
        "hosts": "localhost", "connection": "local", "gather_facts": False,
        "vars_files": [str(ROLE / "defaults/main.yml")],
        "tasks": [{"ansible.builtin.copy": {
            "dest": str(tmp_path / "found.json"),
            "content": json.dumps({name: f"{{{{ {name} | string }}}}" for name in canonical}),
        }}],
    }  # fmt: skip
    (tmp_path / "play.yml").write_text(yaml.safe_dump([play]))
    for place in range(3):
        # Later names are given too, and lose.
        given = {other: f"by-{other}" for others in OTHER_NAMES.values() for other in others[place:]}
        ansible(tmp_path / "play.yml", "-e", json.dumps(given))
        found = json.loads((tmp_path / "found.json").read_text())
        for name, others in OTHER_NAMES.items():
            if others[place:]:
                assert found[f"proxmox_template_{name}"] == f"by-{others[place]}"
    text = (ROLE / "defaults/main.yml").read_text()
    used = re.findall(r"\b([a-z_]+) \| default\(", text)
    assert sorted(used) == sorted(other for others in OTHER_NAMES.values() for other in others)


@pytest.mark.parametrize(
    ("options", "stages"),
    [
        ([], STAGES),
        (["--tags=preflight"], [PREFLIGHT]),
        (["--tags=image"], [PREFLIGHT, IMAGE]),
        (["--tags=vm"], [PREFLIGHT, CREATE, CONFIGURE]),
        (["--tags=vm-create"], [PREFLIGHT, CREATE]),
        (["--tags=vm-configure"], [PREFLIGHT, CONFIGURE]),
        (["--tags=template"], [PREFLIGHT, CONVERT, CLONES]),
        (["--tags=template-create"], [PREFLIGHT, CONVERT]),
        (["--tags=clones"], [PREFLIGHT, CLONES]),
        (["--tags=image,vm"], [PREFLIGHT, IMAGE, CREATE, CONFIGURE]),
        (["--skip-tags=template"], [PREFLIGHT, IMAGE, CREATE, CONFIGURE]),
        (["--skip-tags=clones"], [PREFLIGHT, IMAGE, CREATE, CONFIGURE, CONVERT]),
        (["--skip-tags=image"], [PREFLIGHT, CREATE, CONFIGURE, CONVERT, CLONES]),
    ],
    ids=lambda value: " ".join(value) if value and value[0].startswith("--") else "",
)
def test_what_each_tag_runs(options, stages):
    listed = ansible(PLAYBOOKS_DIR / "template.yml", "--list-tasks", *options)
    tasks = re.findall(r"proxmox_template : (.+?)\t", listed)
    assert [task for task in tasks if task in STAGES] == stages
    # The table at the end comes whatever was asked for.
    assert "Show what the stages did" in tasks
