"""Plays of the role proxmox_template on a Proxmox of the lab's, whose machines are empty processes."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

import update_images
from fleet.paths import PLAYBOOKS_DIR, PROXMOX_DIR, ROOT
from fleet.proxmox import tasks
from fleet.proxmox.client import Client
from fleet.templates import notes
from lab import PROXMOX_URL, secret
from lab.environment import environment
from lab.proxmox import faults, guests, volumes
from lab.proxmox import state as cluster
from tests.helpers.hollow import hollow_proxmox
from tests.helpers.lab_site import site_in_lab

# No boot, which an empty machine does not have; the disk grows, so that each stage has something to do.
WANTED = {"proxmox_template_image": "debian12", "proxmox_template_agent": False, "template_disk_size": "1G"}


class Play(NamedTuple):
    code: int
    output: str

    @property
    def changed(self) -> int:
        assert self.code == 0, self.output
        return int(re.search(r"changed=(\d+)", self.output)[1])


class Lab:
    """`folder` is for the output of plays."""

    def __init__(self, folder: Path, site) -> None:
        self.folder, self.site = folder, site
        self.api = Client(PROXMOX_URL, secret("proxmox_token"))

    def start(self, *argv: str) -> tuple[subprocess.Popen, Path]:
        env = {name: value for name, value in environment().items() if not name.startswith("ANSIBLE_")}
        env |= {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_CONFIG": str(PROXMOX_DIR / "ansible.cfg")}
        env["PROXMOX_IMAGES"] = str(self.site.catalogue)
        output = self.folder / "output"
        with output.open("w") as stream:
            return subprocess.Popen(
                argv, cwd=ROOT, env=env, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True
            ), output

    def run(self, *argv: str) -> Play:
        process, output = self.start(*argv)
        code = process.wait(300)
        text = output.read_text()
        assert secret("proxmox_token").partition("=")[2] not in text
        return Play(code, text)

    def argv(self, *options: str, **variables: object) -> list[str]:
        given = json.dumps(WANTED | variables)
        return ["ansible-playbook", str(PLAYBOOKS_DIR / "template.yml"), "-e", given, *options]

    def play(self, *options: str, **variables: object) -> Play:
        return self.run(*self.argv(*options, **variables))

    def cut_off(self, task: str, number: signal.Signals, **variables: object) -> Play:
        """A play that gets a signal, with all of its process group, while it works on a task."""
        process, output = self.start(*self.argv(**variables))
        end = time.monotonic() + 60
        while f": {task}]" not in output.read_text():
            assert process.poll() is None and time.monotonic() < end, output.read_text()
            time.sleep(0.05)
        time.sleep(1)
        os.killpg(process.pid, number)
        return Play(process.wait(60), output.read_text())

    def publish(self, build: str) -> None:
        self.site.shelf.publish("debian12", build)
        assert update_images.main([]) == 0

    def templates(self) -> dict[int, str]:
        """VMID to name of all that builds made."""
        made = [one for one in guests.all_guests() if notes.parse(one.config.get("description"))]
        return {one.vmid: one.name for one in made if notes.parse(one.config["description"]).vmid == one.vmid}

    def names(self) -> Mapping[str, guests.Guest]:
        return {one.name: one for one in guests.all_guests()}

    def runs(self, one: guests.Guest) -> bool:
        return self.api.get(f"nodes/{one.node}/qemu/{one.vmid}/status/current")["status"] == "running"

    def alone(self) -> int:
        """Assert that there is one healthy template and nothing half-made; its VMID."""
        found = self.templates()
        assert list(found.values()) == ["debian12-template"], found
        (vmid,) = found
        config = guests.find(vmid).config
        assert config["template"] == 1 and "building" not in config["tags"] and "size=1G" in config["scsi0"]
        assert volumes.split(config["scsi0"].split(",")[0])[1].startswith("base-")
        owners = {volumes.owner(v) for s in cluster.STORAGES for v in volumes.of_storage("node01", s)}
        assert {owner for owner in owners if owner and owner > 9000} <= {vmid}
        return vmid


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[object]:
    with hollow_proxmox(tmp_path_factory.mktemp("templates")), site_in_lab() as found:
        yield found


@pytest.fixture
def lab(site, monkeypatch, tmp_path) -> Iterator[Lab]:
    """Build A is published, and there is no template of it."""
    monkeypatch.setenv("PROXMOX_IMAGES", str(site.catalogue))
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    found = Lab(tmp_path, site)
    found.publish("A")
    yield found
    faults.inject()
    for one in sorted(guests.all_guests(), key=lambda guest: int(guest.config.get("template") or 0)):
        if one.vmid == cluster.TEMPLATE_ID:
            continue
        path = f"nodes/{one.node}/qemu/{one.vmid}"
        if not one.config.get("template"):
            tasks.wait(found.api, found.api.post(f"{path}/status/stop"), pause=0.1)
        tasks.wait(found.api, found.api.delete(path), pause=0.1)
    for volid in volumes.of_storage("node01", "local"):
        if volumes.content(volid) == "import":
            volumes.path("node01", volid).unlink()
