"""Machines on which no play runs: made and kept, known to the plan guard, and in neither inventory nor queue."""

import pytest

from tests.helpers.fleet import Fleet, clean, config, pve, running
from tests.lab.test_dhcp import published


@pytest.fixture
def fleet(proxmox, tmp_path):
    yield Fleet(tmp_path / "fleet")
    clean()


def test_made_kept_and_left_alone(fleet, capsys):
    fleet.write("k8s-win", 20, ostype="win11", agent=False, ipconfig0="ip=dhcp")
    fleet.write("k8s-bare", 21, cloudinit="none")
    fleet.write("web", 22)
    fleet.commit()
    status, output = fleet.apply("--address-timeout", "1")
    assert status == 0, output
    ids = {name: one["vmid"] for name, one in fleet.outputs.items()}
    assert config(ids["k8s-win"])["ostype"] == "win11" and running(ids["k8s-win"])
    assert not any("cloudinit" in str(value) for value in config(ids["k8s-bare"]).values())
    assert {name: one["plays"] for name, one in fleet.outputs.items()} == {
        "k8s-win": False, "k8s-bare": False, "web": True,
    }  # fmt: skip
    inventory = published(fleet, capsys)
    assert "web ansible_host" in inventory and "k8s-" not in inventory
    assert (fleet.proxmox / "new_hosts.txt").read_text().splitlines()[-1] == "192.168.1.22,web"
    assert "k8s-" not in (fleet.proxmox / "new_hosts.txt").read_text()
    status, output = fleet.apply()
    assert status == 0 and "no changes" in output, output
    assert published(fleet, capsys) == inventory

    place = f"/nodes/node01/qemu/{ids['k8s-win']}"
    pve("create", f"{place}/status/stop")
    pve("delete", f"{place}?purge=1")
    status, output = fleet.apply()
    assert (status, fleet.outputs) == (1, None), output
    assert "refused: would create k8s-win a second time" in output
