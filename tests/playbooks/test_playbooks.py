"""The playbooks and roles without a machine: syntax, lint, argument specs."""

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from fleet import names
from fleet.paths import PLAYBOOKS_DIR, PROXMOX_DIR, ROOT

BIN = Path(sys.executable).parent
PLAYBOOKS = sorted(PLAYBOOKS_DIR.glob("*.yml"))
# Not the role `controller`, which is one check and has no variables.
ROLES = sorted(path.parent for path in (PLAYBOOKS_DIR / "roles").glob("*/defaults"))
# Task files that nothing in their role brings in: a playbook or platform-exec.sh enters the role there.
ENTRIES = {
    "k3s": {"member.yml", "renew.yml"},
    "k8s_ha": {"look.yml", "renew.yml"},
    "talos": {"renew.yml"},
    "proxmox_vm": {"lookup_template.yml"},
}
INVENTORY = """
[k3s]
k8s-dev
[haproxy]
haproxy-dev
[all]
k8s-dev ansible_host=192.168.1.20 ansible_user=suporte disk_mounts=scsi1:/mnt/storage  # terraform
haproxy-dev ansible_host=192.168.1.30 ansible_user=suporte  # terraform
"""


def run(argv: list, cwd: Path = ROOT, **env: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    return subprocess.run(
        [str(BIN / argv[0]), *map(str, argv[1:])],
        cwd=cwd, env=clean | {"ANSIBLE_NOCOLOR": "1", **env}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    path = tmp_path / "k8s.ini"
    path.write_text(INVENTORY)
    return path


def ids(path: Path) -> str:
    return path.name


@pytest.mark.parametrize("folder", [ROOT, PROXMOX_DIR], ids=ids)
def test_syntax(folder: Path, inventory: Path):
    """Of all playbooks in one run, which ends at the first that is wrong."""
    relative = [os.path.relpath(playbook, folder) for playbook in PLAYBOOKS]
    inventory.write_text(INVENTORY + "\n[deploy]\n")  # which two of them make in memory
    done = run(
        ["ansible-playbook", *relative, "-i", inventory, "-e", "target_hosts=k8s-dev", "--syntax-check"],
        folder,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("playbook: ") == len(PLAYBOOKS)


def is_local(playbook: Path) -> bool:
    """Whether it only asks Proxmox, and runs on no machine of the inventory.

    The group `deploy` is made in memory, and has no connection to the machines that are in it.
    """
    plays = yaml.safe_load(playbook.read_text())
    return all(
        play["hosts"] == "localhost" or (play["hosts"].startswith("deploy") and play["connection"] == "local")
        for play in plays
    )


def test_a_playbook_without_machines_cannot_be_asked_for_by_a_tag():
    assert names.playbook_names(PLAYBOOKS_DIR) == {path.stem for path in PLAYBOOKS if not is_local(path)}


@pytest.mark.parametrize("playbook", [path for path in PLAYBOOKS if not is_local(path)], ids=ids)
def test_runs_on_nobody_that_was_not_named(playbook: Path, inventory: Path):
    done = run(["ansible-playbook", playbook, "-i", inventory, "--list-hosts"])
    assert done.returncode != 0
    assert "name the machines: -e target_hosts=" in done.stderr


def test_a_mistyped_machine_is_an_error(inventory: Path):
    argv = ["ansible-playbook", "playbooks/k8s.yml", "-i", inventory, "-e", "target_hosts=k8s-dve"]
    done = run(argv, PROXMOX_DIR)
    assert done.returncode != 0
    assert "Could not match supplied host pattern" in done.stderr


VAULT = {"VAULT_ADDR": "http://127.0.0.1:8200", "VAULT_TOKEN": "a-token"}


@pytest.mark.parametrize(
    ("env", "said"),
    [
        (VAULT, ""),
        (VAULT | {"VAULT_TOKEN": ""}, "set VAULT_ADDR and VAULT_TOKEN in the environment"),
        (VAULT | {"VAULT_ADDR": ""}, "set VAULT_ADDR and VAULT_TOKEN in the environment"),
        (VAULT | {"K3S_VERSION": "1.34.4"}, "k3s_version 1.34.4 is no K3s release; did you mean"),
    ],
)
def test_k3s_is_refused_before_a_machine_is_touched(env: dict[str, str], said: str, inventory: Path):
    argv = ["ansible-playbook", "playbooks/k8s.yml", "-i", inventory, "-e", "target_hosts=k8s-dev"]
    done = run([*argv, "--tags=k3s_check"], PROXMOX_DIR, **env)
    assert (done.returncode == 0) == (said == ""), done.stdout + done.stderr
    assert said in done.stdout + done.stderr


def test_no_line_is_exempt_from_lint():
    for path in PLAYBOOKS_DIR.rglob("*.y*ml"):
        assert "noqa" not in path.read_text(), path


@pytest.mark.parametrize("role", ROLES, ids=ids)
def test_every_variable_has_a_default_a_comment_and_a_spec(role: Path):
    text = (role / "defaults/main.yml").read_text()
    defaults = yaml.safe_load(text)
    specs = yaml.safe_load((role / "meta/argument_specs.yml").read_text())
    specs = specs["argument_specs"]["main"]["options"]
    assert set(defaults) == set(specs)
    assert all(option["description"] for option in specs.values())
    for name in defaults:
        assert name.startswith(f"{role.name}_")
    # A block of variables may share the comment above it.
    for block in re.split(r"\n\n+", text.removeprefix("---\n")):
        assert block.startswith("#"), block


@pytest.mark.parametrize("role", ROLES, ids=ids)
def test_task_files_are_stages(role: Path):
    stages = yaml.safe_load((role / "tasks/main.yml").read_text())
    texts = [path.read_text() for path in role.glob("[tv]a*/*.yml")]  # tasks, and vars that name task files
    brought = set(re.findall(r": ([a-z_-]+\.yml)$", "\n".join(texts), re.MULTILINE))
    files = {path.name: path for path in (role / "tasks").glob("*.yml")}
    assert brought == files.keys() - {"main.yml", "controller.yml", *ENTRIES.get(role.name, ())}
    assert all(stage["tags"] for stage in stages)
    for path in files.values():
        assert len(path.read_text().splitlines()) < 120, path


@pytest.mark.parametrize("role", ROLES, ids=ids)
def test_every_task_has_a_time_limit(role: Path):
    """By its stage: a task has the limit of the import that brought it, as the next test shows."""
    handlers = role / "handlers/main.yml"
    tasks = yaml.safe_load((role / "tasks/main.yml").read_text())
    tasks += yaml.safe_load(handlers.read_text()) if handlers.exists() else []
    assert all(0 < limit <= 3600 for task in tasks for limit in limits(role, task))


def limits(role: Path, task: dict) -> list[int]:
    """The limits of a stage: an include gives its own to no task, so what it brings has others."""
    included = task.get("ansible.builtin.include_tasks")
    if included is None:
        return [task["timeout"]]
    if isinstance(included, str) and "{{" in included:
        return [task["timeout"]]
    if isinstance(included, dict) and "apply" in included:
        return [task["timeout"], included["apply"]["timeout"]]
    file = included if isinstance(included, str) else included["file"]
    brought = yaml.safe_load((role / "tasks" / file).read_text())
    return [task["timeout"], *(limit for one in brought for limit in limits(role, one))]


def test_a_stage_limits_each_of_its_tasks(tmp_path: Path):
    step = [{"ansible.builtin.command": {"argv": ["sleep", "30"]}}]
    (tmp_path / "stage.yml").write_text(yaml.safe_dump([{"block": step}]))
    stage = {"ansible.builtin.import_tasks": "stage.yml", "timeout": 1}
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": [stage]}
    (tmp_path / "play.yml").write_text(yaml.safe_dump([play]))
    done = run(["ansible-playbook", "play.yml"], tmp_path)
    assert done.returncode == 2
    assert re.search(r"[Tt]imed out", done.stdout + done.stderr)


def test_no_log_says_why():
    found = 0
    for path in PLAYBOOKS_DIR.rglob("tasks/*.yml"):
        for line in path.read_text().splitlines():
            if "no_log:" in line:
                found += 1
                assert " # " in line, f"{path}: {line}"
    assert found


WITH_SECRET = """
- hosts: k8s-dev
  gather_facts: false
  vars: {}
  tasks:
    - ansible.builtin.command: {{argv: [cat], stdin: a secret}}
      delegate_to: localhost
"""


@pytest.mark.parametrize("variables", ["{ansible_pipelining: true}", "{}"])
def test_no_file_on_the_controller_has_what_a_task_is_given(tmp_path: Path, inventory: Path, variables: str):
    """By the playbook, wherever it is started, and by proxmox/ansible.cfg for a playbook of one's own."""
    play = tmp_path / "play.yml"
    play.write_text(WITH_SECRET.format(variables))
    config = {} if variables != "{}" else {"ANSIBLE_CONFIG": str(PROXMOX_DIR / "ansible.cfg")}
    said = run(["ansible-playbook", "-vvv", "-i", inventory, play], **config).stdout
    assert "ok=1" in said and " PUT " not in said


def test_every_playbook_of_machines_keeps_its_tasks_out_of_files():
    for playbook in PLAYBOOKS:
        if playbook.stem in names.OF_PROXMOX | {"reboot"}:  # the actions of these never leave Ansible itself
            continue
        for play in yaml.safe_load(playbook.read_text()):
            if not all("ansible.builtin.assert" in task for task in play.get("tasks", [{}])):
                assert play["vars"]["ansible_pipelining"] is True, f"{playbook.name}: {play['name']}"


def test_arguments_of_k3s_do_not_pass_through_the_installers_escaping():
    tasks = yaml.safe_load((PLAYBOOKS_DIR / "roles/k3s/tasks/install.yml").read_text())
    steps = next(task["block"] for task in tasks if "block" in task)
    step = next(step for step in steps if "k3s-install.sh" in str(step.get("ansible.builtin.command")))
    # The script of get.k3s.io puts backslashes into what INSTALL_K3S_EXEC holds between quotes.
    known = yaml.safe_load((PLAYBOOKS_DIR / "roles/k3s/vars/main.yml").read_text())
    assert step["environment"] == "{{ k3s_installer_environment }}"
    assert set(re.findall(r"'([A-Z0-9_]+)':", known["k3s_installer_environment"])) == {
        "INSTALL_K3S_VERSION",
        "INSTALL_K3S_SKIP_START",
        "GITHUB_URL",
    }
    assert "k3s_server_args" in step["ansible.builtin.command"]["argv"]


@pytest.mark.parametrize(("checksum", "fetched"), [("", True), ("right", True), ("0" * 64, False)])
def test_the_install_script_must_have_the_checksum_that_was_given(
    tmp_path: Path, checksum: str, fetched: bool
):
    """The role's own task and default, with another place for the script."""
    role, script, target = PLAYBOOKS_DIR / "roles/k3s", tmp_path / "install.sh", tmp_path / "fetched.sh"
    script.write_text("#!/bin/sh\n")
    tasks = yaml.safe_load((role / "tasks/install.yml").read_text())
    steps = next(task["block"] for task in tasks if "block" in task)
    (step,) = [step for step in steps if "ansible.builtin.get_url" in step]
    step["ansible.builtin.get_url"]["dest"] = str(target)
    step |= {"retries": 0}
    defaults = yaml.safe_load((role / "defaults/main.yml").read_text())
    values = {"k3s_install_sha256": defaults["k3s_install_sha256"], "k3s_install_url": script.as_uri()}
    play = tmp_path / "play.yml"
    play.write_text(
        yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "vars": values, "tasks": [step]}])
    )
    if checksum == "right":
        checksum = hashlib.sha256(script.read_bytes()).hexdigest()
    done = run(["ansible-playbook", play, "-c", "local"], K3S_INSTALL_SHA256=checksum)
    assert (done.returncode == 0, target.exists()) == (fetched, fetched), done.stdout


def test_a_group_of_a_regular_expression_is_meant_as_one():
    r"""Ansible doubles backslashes in {{ }} alone: in {% %} Jinja takes '\1' for the character 1, and it is lost."""
    for path in [*PLAYBOOKS_DIR.rglob("*.yml"), *PLAYBOOKS_DIR.rglob("*.j2")]:
        for statement in re.findall(r"\{%.*?%\}", path.read_text(), re.DOTALL):
            assert not re.search(r"(?<!\\)\\\d", statement), f"{path}: {statement}"
