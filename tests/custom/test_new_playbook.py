"""new_playbook.py: what it writes works as it is, and it overwrites nothing."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import new_playbook
from fleet.findings import Fault
from fleet.paths import ROOT
from fleet.playbooks import skeleton
from fleet.playbooks.new import make
from fleet.rules import file as rules
from fleet.vms.files import load_dir, load_text

PATHS = {
    "proxmox/playbooks/my-app.yml",
    "proxmox/playbooks/roles/my_app/defaults/main.yml",
    "proxmox/playbooks/roles/my_app/meta/argument_specs.yml",
    "proxmox/playbooks/roles/my_app/tasks/main.yml",
    "proxmox/vms/my-app.yaml.example",
    "tests/custom/test_my_app.py",
}


def tree(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()}


def test_a_second_run_and_one_after_a_cut_write_what_is_missing(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(new_playbook, "ROOT", tmp_path)
    assert new_playbook.main(["my-app", "--dry-run"]) == 0
    assert capsys.readouterr().out.count("would write ") == len(PATHS) and tree(tmp_path) == {}
    assert new_playbook.main(["my-app"]) == 0
    first = tree(tmp_path)
    assert set(first) == PATHS
    capsys.readouterr()
    (tmp_path / "proxmox/playbooks/roles/my_app/tasks/main.yml").unlink()
    assert new_playbook.main(["my-app"]) == 0
    assert capsys.readouterr().out.count("unchanged ") == len(PATHS) - 1
    assert tree(tmp_path) == first
    assert "NAME" not in "".join(first.values()) and "ROLE" not in "".join(first.values())


@pytest.mark.parametrize("path", sorted(PATHS))
@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_what_is_there_stays(path, kind, tmp_path):
    place = tmp_path / path
    place.parent.mkdir(parents=True)
    {
        "file": lambda: place.write_text("mine\n"),
        "folder": place.mkdir,
        "link": lambda: place.symlink_to("no"),
    }[kind]()
    with pytest.raises(Fault, match="exists and is kept, and nothing was written") as caught:
        make("my-app", tmp_path)
    assert path in str(caught.value)
    assert set(tree(tmp_path)) == ({path} if kind == "file" else set())


def test_a_role_of_that_name_is_somebody_elses(tmp_path):
    other = tmp_path / "proxmox/playbooks/roles/my_app/templates/x.j2"
    other.parent.mkdir(parents=True)
    other.write_text("")
    with pytest.raises(Fault, match=r"x\.j2 belongs to a role of this name"):
        make("my-app", tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "My",
        "k8s-dev",
        "all",
        "../x",
        "a b",
        "a--b",
        "a-",
        "1a",
        "x" * 41,
        "groups",
        "inventory",
        "a.yml",
        "-h\n",
    ],
)
def test_names_that_are_refused(name, tmp_path):
    with pytest.raises(Fault) as caught:
        make(name, tmp_path)
    assert caught.value.code == 2 and tree(tmp_path) == {}


def test_the_example_is_valid_and_makes_no_machine(tmp_path):
    make("my-app", tmp_path)
    example = tmp_path / "proxmox/vms/my-app.yaml.example"
    vm, found = load_text("app-1.yaml", example.read_text())
    assert [*found, *rules.check(vm)] == []
    assert load_dir(example.parent)[0] == {}
    specs = yaml.safe_load(skeleton.files("my-app")["proxmox/playbooks/roles/my_app/meta/argument_specs.yml"])
    assert set(vm.playbook_vars) <= set(specs["argument_specs"]["main"]["options"])


def test_what_is_written_passes_its_own_test_and_the_linters(tmp_path):
    """In a copy of this repository, as a user has one."""
    for part in ("scripts", "schemas", "proxmox/playbooks", "proxmox/library"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / part, tmp_path / part, symlinks=True, ignore=ignored)
    for file in (".ansible-lint", "pyproject.toml", "proxmox/ansible.cfg"):
        if (ROOT / file).exists():
            shutil.copy(ROOT / file, tmp_path / file)
    make("my-app", tmp_path)
    binaries = Path(sys.executable).parent
    for command in (
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/custom/test_my_app.py"],
        [binaries / "ruff", "check", "tests/custom"],
        [binaries / "ruff", "format", "--check", "tests/custom"],
        [binaries / "ansible-lint", "--offline", "proxmox/playbooks/my-app.yml"],
    ):
        environment = os.environ | {"PATH": f"{binaries}:{os.environ['PATH']}", "NO_COLOR": "1"}
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
