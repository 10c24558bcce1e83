"""A Proxmox of the lab's, whose machines are empty processes, and steps on it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from fleet.findings import Fault
from fleet.proxmox import tasks
from fleet.proxmox.change import Change, Result
from fleet.proxmox.client import Client
from lab import PROXMOX_URL, secret
from lab.proxmox import faults
from tests.helpers.hollow import hollow_proxmox

TEMPLATE = 9000  # that every lab has: ubuntu24-template on node01, with 3 GiB on local-lvm


class Lab:
    """Steps of the role on one Proxmox; `said` has what the last one showed."""

    def __init__(self) -> None:
        self.api = Client(PROXMOX_URL, secret("proxmox_token"))
        self.said: list[str] = []

    def step(self, module: Any, check: bool = False, **arguments: Any) -> Result:
        self.said = []
        return module.run(Change(self.api, check, self.said.append), arguments)

    def refused(self, module: Any, **arguments: Any) -> str:
        with pytest.raises(Fault) as caught:
            self.step(module, **arguments)
        return str(caught.value)

    def created(self, name: str = "", **arguments: Any) -> Mapping[str, Any]:
        """The facts of a finished machine, by the stages of create_vm.yml."""
        from fleet.lifecycle import create, finish

        result = self.step(create, stage="clone", **{"name": name, "template_vmid": TEMPLATE} | arguments)
        facts = {key: result.facts[key] for key in ("name", "vmid", "node")}
        for stage in ("resize", "cloud_init", "finish"):
            self.step(finish, stage=stage, **arguments | facts)
        return facts

    def config(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        return self.api.config(facts["node"], facts["vmid"])

    def names(self) -> set[str]:
        return {guest.name for guest in self.api.guests()}


@pytest.fixture(scope="module")
def hollow(tmp_path_factory) -> Iterator[Path]:
    with hollow_proxmox(tmp_path_factory.mktemp("lifecycle")) as folder:
        yield folder


@pytest.fixture
def lab(hollow) -> Iterator[Lab]:
    """Without machines at the end."""
    found = Lab()
    before = {guest.vmid for guest in found.api.guests()}
    yield found
    faults.inject()
    left = [guest for guest in found.api.guests() if guest.vmid not in before]
    for guest in sorted(left, key=lambda one: one.template):  # a template goes after its clones
        path = f"nodes/{guest.node}/qemu/{guest.vmid}"
        found.api.put(f"{path}/config", protection=0)
        if not guest.template:
            tasks.wait(found.api, found.api.post(f"{path}/status/stop"), pause=0.1)
        tasks.wait(found.api, found.api.delete(path, purge=1), pause=0.1)
