"""Whose each file is: the list by which fleets are upgraded."""

import subprocess

from fleet.git.publish import PUBLISHED
from fleet.paths import ROOT
from fleet.upgrades import paths
from fleet.upgrades.version import RECORD

LISTS = paths.parse((ROOT / paths.LIST).read_text())


def test_every_file_is_the_projects_or_the_users():
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert [path for path in done.stdout.split("\0")[:-1] if not LISTS.is_listed(path)] == []


def test_what_the_automation_writes_is_the_users():
    written = [*PUBLISHED, "proxmox/images.lock.yml", "proxmox/vms/k8s-dev.yaml", "CHANGELOG.md", RECORD]
    assert [path for path in written if not LISTS.is_yours(path)] == []


def test_the_lists_are_in_order_and_nothing_is_in_both():
    for names in LISTS:
        assert list(names) == sorted(set(names))
    assert not set(LISTS.project) & set(LISTS.yours)
