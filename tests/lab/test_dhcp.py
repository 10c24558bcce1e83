"""Machines on DHCP: their addresses come from the guest agent after each apply, and reach the inventory."""

import json

import pytest

import update_inventory
from lab import dhcp
from lab.proxmox import faults
from tests.helpers.fleet import Fleet, clean, config, pve


@pytest.fixture
def fleet(proxmox, tmp_path):
    yield Fleet(tmp_path / "fleet")
    for mac in dhcp.reserved():
        dhcp.reserve(mac, None)
    clean()


def leased(fleet: Fleet, *names: str, **fields) -> None:
    for name in names:
        fleet.write(name, 0, ipconfig0="ip=dhcp", **fields)
    fleet.commit()


def address(fleet: Fleet, name: str) -> str | None:
    everything = json.loads((fleet.home / "outputs.json").read_text())
    found = everything["ansible_inventory"]["value"][name]["address"]
    assert everything["vm_ips"]["value"][name] == found
    assert everything["k8s_nodes"]["value"].get(name, {"address": found})["address"] == found
    return found


def published(fleet: Fleet, capsys) -> str:
    """The inventory, after Terraform's outputs were written into it."""
    files = {"outputs": fleet.home / "outputs.json", "inventory": fleet.proxmox / "k8s.ini"}
    files["queue"] = fleet.proxmox / "new_hosts.txt"
    assert update_inventory.main([f"--{key}={value}" for key, value in files.items()]) == 0
    capsys.readouterr()
    return (fleet.proxmox / "k8s.ini").read_text()


def test_the_life_of_an_address(fleet, capsys):
    leased(fleet, "k8s-dhcp")
    fleet.write("haproxy-kept", 0, ipconfig0="ip=dhcp", address="192.168.1.50")
    fleet.write("web", 20)
    fleet.commit()
    status, output = fleet.apply()
    assert status == 0, output
    assert config(501)["ipconfig0"] == "ip=dhcp"
    assert (address(fleet, "k8s-dhcp"), address(fleet, "haproxy-kept")) == ("192.168.1.201", "192.168.1.50")
    assert "k8s-dhcp: its guest agent tells the address 192.168.1.201\n" in output
    assert "k8s-dhcp ansible_host=192.168.1.201 " in published(fleet, capsys)
    status, output = fleet.apply()
    assert status == 0, output
    assert "tells the address" not in output, "nothing changed"

    # Another lease is followed: the line, and the place in the queue.
    dhcp.reserve(fleet.outputs["k8s-dhcp"]["mac"], "192.168.1.60")
    status, output = fleet.apply()
    assert status == 0, output
    assert "tells the address 192.168.1.60, 192.168.1.201 before" in output
    before = published(fleet, capsys)
    assert "k8s-dhcp ansible_host=192.168.1.60 " in before
    assert "192.168.1.60,k8s-dhcp" in (fleet.proxmox / "new_hosts.txt").read_text()

    # Without an answer the line keeps the last one, and nobody's push is red for it.
    with faults.injected({"agent_silent": 501}):
        status, output = fleet.apply("--address-timeout", "1")
        assert status == 0, output
    assert "its guest agent does not run" in output and "keeps 192.168.1.60" in output
    assert address(fleet, "k8s-dhcp") is None
    assert published(fleet, capsys) == before

    # Of another machine's address nothing is believed, and the machine keeps its own.
    dhcp.reserve(fleet.outputs["k8s-dhcp"]["mac"], "192.168.1.20")
    status, output = fleet.apply()
    assert status == 3, output
    assert "k8s-dhcp.yaml:6:1: ipconfig0: its guest agent tells 192.168.1.20, which is that of web" in output
    assert published(fleet, capsys) == before

    # Stopped by its file, it is not waited for.
    leased(fleet, "k8s-dhcp", vm_state="stopped")
    status, output = fleet.apply()
    assert status == 0, output
    assert published(fleet, capsys) == before


def test_a_new_machine_that_tells_nothing_holds_nobody_up(fleet, capsys):
    leased(fleet, "k8s-a", "k8s-b")
    with faults.injected({"agent_silent": 500}):
        status, output = fleet.apply("--address-timeout", "1")
    assert status == 3, output
    assert (
        "k8s-a.yaml:6:1: ipconfig0: the address of k8s-a is not known: its guest agent does not run" in output
    )
    assert (address(fleet, "k8s-a"), address(fleet, "k8s-b")) == (None, "192.168.1.201")
    assert "k8s-a" not in (inventory := published(fleet, capsys)) and "k8s-b" in inventory

    # Without a line it is known all the same: the plan guard makes no second one when it is out of sight.
    pve("create", "/nodes/node01/qemu/500/status/stop")
    pve("delete", "/nodes/node01/qemu/500?purge=1")
    status, output = fleet.apply()
    assert (status, fleet.outputs) == (1, None), output
    assert "refused: would create k8s-a a second time: it was there before" in output
    with faults.injected({"agent_silent": 500}):
        status, output = fleet.apply("--address-timeout", "1", "--approve-destroy", "k8s-a")
    assert status == 3, output
    status, output = fleet.apply()
    assert status == 0, output
    assert "k8s-a ansible_host=192.168.1.200 " in published(fleet, capsys)


def test_two_machines_that_tell_one_address_are_both_named(fleet):
    leased(fleet, "k8s-a", "k8s-b", "k8s-c")
    status, output = fleet.apply()
    assert status == 0, output
    for name in ("k8s-a", "k8s-b"):
        dhcp.reserve(fleet.outputs[name]["mac"], "192.168.1.70")
    status, output = fleet.apply()
    assert status == 3, output
    assert "its guest agent tells 192.168.1.70, which k8s-b tells too" in output
    assert "its guest agent tells 192.168.1.70, which k8s-a tells too" in output
    assert [address(fleet, name) for name in ("k8s-a", "k8s-b", "k8s-c")] == [None, None, "192.168.1.202"]


def test_a_machine_whose_file_is_gone_is_asked_too(fleet):
    leased(fleet, "k8s-a", "k8s-b")
    status, output = fleet.apply()
    assert status == 0, output
    fleet.remove("k8s-a")
    fleet.commit()
    status, output = fleet.apply()
    assert status == 3, output  # nobody approved its removal
    assert config(500)["ipconfig0"] == "ip=dhcp"
    assert address(fleet, "k8s-a") == "192.168.1.200"
