"""A Proxmox of the lab's, whose folders of snippets are here, and steps on it."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from fleet.findings import Fault
from fleet.proxmox.change import Change
from fleet.proxmox.client import Client
from lab import PROXMOX_URL, secret
from lab.proxmox import faults, volumes
from tests.helpers.hollow import hollow_proxmox

VENDOR = "#cloud-config\npackages: [qemu-guest-agent]\n"


@pytest.fixture(scope="module")
def hollow(tmp_path_factory):
    with hollow_proxmox(tmp_path_factory.mktemp("snippets")) as folder:
        yield folder


@pytest.fixture
def lab(hollow, tmp_path, monkeypatch):
    """`step` and `refused` run a step; `said` has what the last one showed; `folder` is that of node01's snippets."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")  # no .env counts
    found = SimpleNamespace(api=Client(PROXMOX_URL, secret("proxmox_token")), said=[])
    found.folder = volumes.folder("node01", "local") / "snippets"
    found.vendor = tmp_path / "vendor.yaml"
    found.vendor.write_text(VENDOR)

    def step(module, check=False, **arguments):
        found.said.clear()
        return module.run(Change(found.api, check, found.said.append), arguments)

    def refused(module, **arguments):
        with pytest.raises(Fault) as caught:
            step(module, **arguments)
        return str(caught.value)

    def use(mode, folder: Path | str = found.folder, **other):
        """What .env says."""
        values = {"PROXMOX_SNIPPETS": mode, "PROXMOX_SNIPPETS_DIR": str(folder)} | other
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    found.step, found.refused, found.use = step, refused, use
    yield found
    faults.inject()
    for file in found.folder.glob("gitops-*"):
        file.unlink()
