"""A renamed machine that really boots: it goes on as the same process, and has other host keys after its next start."""

import re

import pytest

import scan_host_keys
from lab import daemons, lab_dir, network, setup
from tests.helpers.fleet import Fleet, clean, config, pve, running
from tests.helpers.proxmox import ssh
from tests.lab.test_slow_rename import Published, renamed

ADDRESS = "192.168.1.20"


@pytest.fixture
def fleet(tmp_path_factory):
    """A lab whose machines are real."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB_DIR", str(tmp_path_factory.mktemp("lab")))
        setup.everything()
        daemons.up(("postgres", "proxmox"))
        patch.setenv("ANSIBLE_PRIVATE_KEY_FILE", str(lab_dir() / "secrets/ssh_key"))
        with network.inside():
            made = Fleet(tmp_path_factory.mktemp("home") / "fleet")
            (made.proxmox / "authorized_keys").write_text((lab_dir() / "secrets/ssh_key.pub").read_text())
            yield made
            clean()
        daemons.down()


def scanned(fleet: Fleet, name: str) -> list[str]:
    """The keys that known_hosts has for the machine after it was met again."""
    files = [f"--inventory={fleet.proxmox}/k8s.ini", f"--known-hosts={fleet.proxmox}/known_hosts"]
    assert scan_host_keys.main(["--hosts", name, *files, "--timeout", "60"]) == 0
    return re.findall(rf"^{ADDRESS} \S+ (\S+) {name} ", (fleet.proxmox / "known_hosts").read_text(), re.M)


def test_the_same_process_and_later_other_host_keys(fleet):
    fleet.write("web-a", 20)
    fleet.commit()
    assert fleet.apply()[0] == 0
    published = Published(fleet)
    assert published.run() == 0
    before = scanned(fleet, "web-a")
    published.add("known_hosts", "")
    assert (ssh(ADDRESS, "hostname"), bool(before)) == ("web-a\n", True)
    since, booted = running(500), ssh(ADDRESS, "cat /proc/sys/kernel/random/boot_id; date > here; cat here")

    renamed(fleet, "web-b", "web-a", disks=None)
    status, output = fleet.apply()
    assert (status, config(500)["name"]) == (0, "web-b"), output
    assert published.run() == 0
    assert running(500) == since
    assert ssh(ADDRESS, "cat /proc/sys/kernel/random/boot_id; cat here") == booted
    assert scanned(fleet, "web-b") == before

    for step in ("stop", "start"):
        pve("create", f"/nodes/node01/qemu/500/status/{step}")
    after = scanned(fleet, "web-b")
    assert after and not set(after) & set(before)
    assert ssh(ADDRESS, "hostname") == "web-b\n"
    assert ssh(ADDRESS, "cat here") in booted  # its disk is what it was
    assert "No changes." in fleet.plan()[1]
