"""`.env.example` is a `.env`, and has what the table has."""

import re
import shutil
import subprocess

from fleet import dotenv
from fleet.config import example
from fleet.paths import ROOT
from fleet.variables import GROUPS, NAMES, VARIABLES


def test_a_copy_is_accepted(tmp_path):
    shutil.copy(ROOT / ".env.example", tmp_path / ".env")
    (tmp_path / ".env").chmod(0o644)  # as cp makes it
    found = dotenv.read(tmp_path / ".env")
    assert {name: entry.value for name, entry in found.items()} == {
        one.name: one.value for one in VARIABLES if one.value
    }


def test_it_has_every_variable_once_and_no_secret():
    lines = dict(re.findall(r"^([A-Z_]+)=(.*)$", example.text(), re.M))
    assert list(lines) == list(NAMES)
    assert [one.name for one in VARIABLES if one.secret and lines[one.name]] == []
    assert max(map(len, example.text().splitlines())) <= 120


def test_the_help_has_every_variable_of_its_groups():
    for group in GROUPS:
        names = re.findall(r"^([A-Z_]+)  ", example.help_of(group), re.M)
        assert names == [one.name for one in VARIABLES if one.group == group]


def test_git_ignores_what_is_the_users_or_generated():
    names = [".env", "proxmox/vars/vm_config.yml", "proxmox/inventory.ini", "proxmox/inventory-vms.ini"]
    done = subprocess.run(
        ["git", "check-ignore", *names], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == names
