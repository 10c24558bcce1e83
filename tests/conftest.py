"""The order of the files of tests: the longest first, since the worker that gets one last ends alone with it."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
os.environ["PROXMOX_GITOPS_ENV"] = str(ROOT / "tests/no.env")  # nor does a developer's own .env count
# About the longest first: `pytest --durations=0 FILE` shows where the time of one goes.
LONG = (
    "tests/lab/test_chain.py",
    "tests/playbooks/test_slow_k3s.py",
    "tests/lab/test_terraform.py",
    "tests/lab/test_roles.py",
    "tests/ansible/test_run_plays.py",
    "tests/lab/test_takeover.py",
    "tests/lab/test_terraform_interrupted.py",
    "tests/lab/test_reach.py",
    "tests/lab/test_templates.py",
    "tests/lab/test_template_swap.py",
    "tests/playbooks/test_storage.py",
    "tests/playbooks/test_hostile_machine.py",
    "tests/lifecycle/test_role.py",
    "tests/doctor/test_faults.py",
    "tests/house/test_lint.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each file's tests stay in their order, and so do the files that are not named."""
    place = {ROOT / name: number for number, name in enumerate(LONG)}
    items.sort(key=lambda item: place.get(item.path, len(place)))
