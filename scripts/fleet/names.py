"""The one table that says what a machine's name decides, and the names that are special."""

import re
from pathlib import Path
from typing import NamedTuple


class Rule(NamedTuple):
    pattern: re.Pattern[str]
    group: str
    playbook: str | None  # None: only when a tag names the machine itself, or another playbook


# The first rule that matches decides.
RULES = (
    # Members of a multi-node cluster: the single-node playbook would make each a cluster of its own.
    Rule(re.compile(r"k8s-.+-(cp|w)\d+"), "k3s", None),
    Rule(re.compile(r"k8s-.+"), "k3s", "k8s"),
    Rule(re.compile(r"haproxy(-.+)?"), "haproxy", "haproxy"),
    Rule(re.compile(r"talos-.+-cp\d+"), "talos_control_plane", "talos"),
    Rule(re.compile(r"talos-.+-w\d+"), "talos_workers", "talos"),
)

# In the order in which a new inventory lists them.
GROUPS = ("haproxy", "talos_control_plane", "talos_workers", "k3s")

# VM files of machines that live outside this automation: validated, their addresses are taken, never created.
EXCLUDED = ("k8s-home.yaml", "boot-server.yaml")

# Names that mean something else to Ansible.
RESERVED = frozenset({"all", "ungrouped", "localhost"})


def rule_of(name: str) -> Rule | None:
    return next((rule for rule in RULES if rule.pattern.fullmatch(name)), None)


def group_of(name: str) -> str | None:
    """The inventory group of a machine, or None when its name decides none."""
    rule = rule_of(name)
    return rule.group if rule else None


def playbook_of(name: str) -> str | None:
    """The playbook (without .yml) that a machine's name asks for, or None."""
    rule = rule_of(name)
    return rule.playbook if rule else None


def is_k8s(name: str) -> bool:
    return name.startswith("k8s-")


def playbook_names(folder: Path) -> set[str]:
    """Names of the playbooks of a folder, without .yml; none when it does not exist."""
    return {path.stem for path in folder.glob("*.yml")}
