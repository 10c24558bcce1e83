"""Machines of `.env`, as generate_config.py writes them, on a Proxmox whose machines are empty processes."""

import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from fleet.paths import ROOT
from lab import lab_dir, network, secret
from lab.environment import environment
from tests.helpers.hollow import hollow_proxmox
from tests.lifecycle import conftest as lifecycle

lab = lifecycle.lab
NODE, TEMPLATE = "node01", "ubuntu24-template"
STORAGE = "tank"


@pytest.fixture(scope="module")
def hollow(tmp_path_factory) -> Iterator[Path]:
    with hollow_proxmox(tmp_path_factory.mktemp("deploy")) as folder:
        yield folder


def ceph(number: int, **more: Any) -> dict[str, Any]:
    """A Ceph node: the system, four data disks, and one for the monitor."""
    data = {f"scsi{slot}": {"size": "1000G", "storage": STORAGE} for slot in range(1, 5)}
    given = {
        "name": f"ceph-{number}",
        "node": NODE,
        "template_name": TEMPLATE,
        "cores": 4,
        "disks": {"scsi0": "50G", **data, "scsi5": {"size": "100G", "storage": STORAGE}},
        "cloud_init_ip": f"192.168.1.{60 + number}/24",
        "cloud_init_gw": "192.168.1.1",
        "agent": True,
        "start": True,
    } | more
    return {f"proxmox_vm_{name}": value for name, value in given.items()}


def small(name: str, **more: Any) -> dict[str, Any]:
    return {
        f"proxmox_vm_{key}": value for key, value in {"name": name, "template_name": TEMPLATE, **more}.items()
    }


THREE = [ceph(number) for number in (1, 2, 3)]


class Done(NamedTuple):
    code: int
    output: str

    @property
    def words(self) -> str:
        return " ".join(self.output.split())

    @property
    def changed(self) -> int:
        return sum(map(int, re.findall(r"changed=(\d+)", self.output)))


class Deployments:
    """Playbooks and scripts with the configuration of one test."""

    def __init__(self, folder: Path):
        self.config = folder / "vm_config.yml"

    def wants(self, machines: Sequence[Mapping[str, Any]]) -> None:
        self.config.write_text(yaml.safe_dump({"deploy_machines": list(machines)}))

    def argv(self, playbook: str, *options: str) -> list[str]:
        program = ["ansible-playbook", f"proxmox/playbooks/{playbook}.yml"]
        return network.inside_argv([*program, "-e", f"deploy_config={self.config}", *options])

    def environment(self, **env: str) -> dict[str, str]:
        clean = {
            name: value
            for name, value in environment().items()
            if not name.startswith("ANSIBLE_") and name != "PG_CONN_STR"
        }
        clean["PATH"] = f"{ROOT / '.venv/bin'}{os.pathsep}{clean['PATH']}"
        return clean | {"ANSIBLE_CONFIG": "proxmox/ansible.cfg", "ANSIBLE_NOCOLOR": "1", **env}

    def play(self, playbook: str, *options: str, **env: str) -> Done:
        return self.done(self.argv(playbook, *options), **env)

    def deploy(self, machines: Sequence[Mapping[str, Any]], *options: str, **env: str) -> Done:
        self.wants(machines)
        return self.play("deploy", *options, **env)

    def counted(self, machines: Sequence[Mapping[str, Any]], *options: str) -> tuple[Done, int]:
        """A deployment, and how often it asked Proxmox.

        What waits for a task or a guest agent is left out, since that depends on how long they take.
        """
        log = lab_dir() / "log/proxmox.log"
        before = len(log.read_text())
        done = self.deploy(machines, *options)
        asked = re.findall(r'"(?:GET|POST|PUT|DELETE) /api2/json/(\S*) HTTP', log.read_text()[before:])
        return done, sum(not re.search("/(tasks|agent)/", path) for path in asked)

    def done(self, argv: Sequence[str], **env: str) -> Done:
        done = subprocess.run(argv, cwd=ROOT, env=self.environment(**env), capture_output=True, text=True)
        output = done.stdout + done.stderr
        assert secret("proxmox_token").partition("=")[2] not in output
        return Done(done.returncode, output)


@pytest.fixture
def deployments(lab, tmp_path) -> Deployments:
    return Deployments(tmp_path)


def owners(lab) -> dict[str, list[str]]:
    """The volumes of machines by storage, so that a doubled or lost one is seen."""
    found: dict[str, list[str]] = {}
    for storage in ("local-lvm", STORAGE):
        entries = lab.api.get(f"nodes/{NODE}/storage/{storage}/content", content="images")
        found[storage] = sorted(entry["volid"] for entry in entries if int(entry["vmid"]) < 9000)
    return found
