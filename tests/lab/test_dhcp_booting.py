"""A machine on DHCP that really boots: it is found, met, and followed to another address with its host keys."""

import pytest

import scan_host_keys
from lab import daemons, dhcp, lab_dir, network, setup
from tests.helpers.fleet import Fleet, clean, pve
from tests.helpers.proxmox import ssh, wait_for
from tests.lab.test_dhcp import address, leased, published


@pytest.fixture(scope="module")
def booting(tmp_path_factory):
    """A lab whose machines are real, with the DHCP server."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB_DIR", str(tmp_path_factory.mktemp("lab")))
        setup.everything()
        daemons.up(("postgres", "dhcp", "proxmox"))
        patch.setenv("ANSIBLE_PRIVATE_KEY_FILE", str(lab_dir() / "secrets/ssh_key"))
        with network.inside():
            yield
        daemons.down()


def test_a_real_machine_boots_is_found_and_is_followed(booting, tmp_path, capsys):
    fleet = Fleet(tmp_path / "fleet")
    (fleet.proxmox / "authorized_keys").write_text((lab_dir() / "secrets/ssh_key.pub").read_text())
    leased(fleet, "k8s-dhcp")
    status, output = fleet.apply()
    assert status == 0, output
    first = address(fleet, "k8s-dhcp")
    assert dhcp.leases().get(fleet.outputs["k8s-dhcp"]["mac"]) == first
    published(fleet, capsys)
    assert scanned(fleet) == 0
    assert ssh(first, "hostname") == "k8s-dhcp\n"

    dhcp.reserve(fleet.outputs["k8s-dhcp"]["mac"], "192.168.1.60")
    for step in ("stop", "start"):
        pve("create", f"/nodes/node01/qemu/500/status/{step}")
    wait_for(lambda: dhcp.leases().get(fleet.outputs["k8s-dhcp"]["mac"]) == "192.168.1.60")
    status, output = fleet.apply()
    assert status == 0, output
    assert address(fleet, "k8s-dhcp") == "192.168.1.60"
    assert "k8s-dhcp ansible_host=192.168.1.60 " in published(fleet, capsys)
    known = (fleet.proxmox / "known_hosts").read_text()
    assert scanned(fleet) == 0, "it has its host keys from before"
    after = (fleet.proxmox / "known_hosts").read_text()
    assert after == known.replace(f"{first} ", "192.168.1.60 ")
    clean()


def scanned(fleet: Fleet) -> int:
    files = {name.replace(".", "_"): fleet.proxmox / name for name in ("k8s.ini", "known_hosts")}
    return scan_host_keys.main([
        "--hosts", "k8s-dhcp", "--inventory", str(files["k8s_ini"]), "--known-hosts", str(files["known_hosts"]),
        "--timeout", "60",
    ])  # fmt: skip
