"""A template that is really built: sealed in one boot, tested by another, cloned, and swapped under a fleet."""

import json
import re
import resource
import subprocess
from collections.abc import Iterator

import pytest

from fleet.templates import notes
from lab import ROOT, daemons, lab_dir, network, setup
from lab.environment import environment
from lab.images.shelf import Shelf
from lab.proxmox import guests, volumes
from tests.helpers.fleet import Fleet, clean, pve
from tests.helpers.proxmox import host_key, ssh

ADDRESS = "192.168.1.60"
SHOWN = re.compile(r'"(GET|POST|PUT|DELETE) /api2/json/')


@pytest.fixture(scope="module")
def booting(tmp_path_factory) -> Iterator[None]:
    """A lab whose machines are real, with the site of images."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB_DIR", str(tmp_path_factory.mktemp("lab")))
        setup.everything()
        daemons.up(("postgres", "dhcp", "proxmox", "images"))
        with network.inside():
            yield
            clean()
        daemons.down()


def run(*argv: str, **variables: object) -> str:
    given = ["-e", json.dumps(variables)] if variables else []
    env = environment() | {"ANSIBLE_CONFIG": str(ROOT / "proxmox/ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    done = subprocess.run([*argv, *given], cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def template(*options: str) -> str:
    return run(
        "ansible-playbook", "proxmox/playbooks/template.yml", *options,
        proxmox_template_image="debian12", proxmox_template_boot_test=True,
    )  # fmt: skip


def changed(output: str) -> int:
    return int(re.search(r"changed=(\d+)", output)[1])


def requests() -> list[str]:
    return SHOWN.findall((lab_dir() / "log/proxmox.log").read_text())


def on_disk(vmid: int, command: str) -> str:
    """What debugfs says of a template's disk, whose file system has no partition around it."""
    disk = volumes.path("node01", guests.find(vmid).config["scsi0"].partition(",")[0])
    done = subprocess.run(["debugfs", "-R", command, str(disk)], capture_output=True, text=True)
    return done.stdout


def nothing_changes(fleet: Fleet) -> None:
    status, output = fleet.plan()
    assert (status, "No changes." in output) == (0, True), output


def names() -> dict[str, int]:
    return {one.name: one.vmid for one in guests.all_guests()}


def test_from_an_image_to_the_template_that_replaces_it(booting, tmp_path):
    run("scripts/update_images.py", "debian12")
    built = template()
    assert "VMID 9001 is debian12-template" in built and "has the guest agent and is off" in built
    assert "booted and has 192.168.1.9" in built
    assert set(names()) == {"ubuntu24-template", "debian12-template"}, "the clone of the boot test is gone"

    before, cpu = len(requests()), resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    again = template()
    cpu = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - cpu
    asked = requests()[before:]
    assert changed(again) == 0 and asked == ["GET"] * len(asked) and len(asked) <= 12, again
    assert cpu < 3  # a machine with other work takes longer, and not more of its processor

    assert on_disk(9001, "cat /etc/machine-id") in ("", "uninitialized\n")
    assert "template-build" not in on_disk(9001, "cat /etc/passwd") + on_disk(9001, "ls /home")
    assert "ssh_host" not in on_disk(9001, "ls /etc/ssh")
    assert "authorized_keys" not in on_disk(9001, "ls /root/.ssh")
    assert "i-" not in on_disk(9001, "ls /var/lib/cloud/instances")

    fleet = Fleet(tmp_path / "fleet")
    fleet.write("full", 20, clone="debian12-template", vm_state="stopped", onboot=False)
    fleet.commit()
    status, output = fleet.apply()
    assert status == 0, output
    nothing_changes(fleet)

    run("ansible-playbook", "proxmox/playbooks/site.yml",
        vm_template_distribution="debian12", vm_name="app", proxmox_vm_start=True, proxmox_vm_cloud_init_user="suporte",
        proxmox_vm_cloud_init_ip=f"{ADDRESS}/24", proxmox_vm_cloud_init_gw="192.168.1.1",
        proxmox_vm_cloud_init_ssh_keys_file=str(lab_dir() / "secrets/ssh_key.pub"))  # fmt: skip
    app = names()["app"]
    assert re.fullmatch(r"[0-9a-f]{32}", ssh(ADDRESS, "cat /etc/machine-id").strip())
    assert host_key(ADDRESS)
    assert ssh(ADDRESS, "getent passwd template-build; sudo ls /root/.ssh; ls /home").split()[-1] == "suporte"
    assert len(ssh(ADDRESS, "ls /var/lib/cloud/instances").split()) == 1
    assert ADDRESS in str(pve("get", f"/nodes/node01/qemu/{app}/agent/network-get-interfaces"))
    assert ssh(ADDRESS, "cat /etc/image-build") == "A\n"

    Shelf(lab_dir() / "images").publish("debian12", "B")
    news = run("scripts/update_images.py", "debian12")
    assert re.search(r"2026-11-02 \w{8} +2026-11-16 \w{8}", news), news
    assert changed(template("--tags=image,vm"))
    assert names()["debian12-template"] == 9001
    nothing_changes(fleet)
    assert changed(template("--tags=template"))
    assert names().items() >= {"debian12-template": 9002}.items() and 9001 not in names().values()
    assert notes.parse(guests.find(9002).config["description"]).file.startswith("debian12-20261116-")
    assert on_disk(9002, "cat /etc/image-build") == "B\n"
    nothing_changes(fleet)
    assert ssh(ADDRESS, "cat /etc/image-build") == "A\n", "on thin LVM a clone needs its template no more"
