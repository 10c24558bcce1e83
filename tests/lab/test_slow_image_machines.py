"""Machines that the real provider makes from a cloud image, which the apply first brings onto the storage."""

import subprocess
import sys

import pytest

from lab import ROOT, daemons, lab_dir, network, setup
from lab.environment import environment
from lab.images import faults as site_faults
from lab.images.shelf import Shelf
from lab.proxmox import faults, volumes
from tests.helpers.fleet import Fleet, clean, config, kill_session, pve, vmids, wait_for

CONTENT = "/nodes/node01/storage/local/content"
DISK = {"scsi0": {"size": "4G"}}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Proxmox and the site of images, with a lock of what the site has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB_DIR", str(tmp_path_factory.mktemp("lab")))
        patch.setenv("LAB_PROXMOX_HOLLOW", "1")
        setup.everything()
        daemons.up(("postgres", "proxmox", "images"))
        try:
            lock()
            yield lab_dir() / "images"
        finally:
            daemons.down()


def lock() -> None:
    command = [sys.executable, str(ROOT / "scripts/update_images.py"), "debian12", "ubuntu24"]
    done = subprocess.run(
        network.inside_argv(command), env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


class Images(Fleet):
    def from_image(self, name: str, number: int, **fields) -> None:
        """Write the file of a machine from an image, and commit it."""
        given = {"image": "debian12", "agent": False, "disks": DISK, "vm_state": "stopped"} | fields
        self.write(name, number, clone=None, **given)
        self.commit()


@pytest.fixture
def fleet(site, tmp_path):
    yield Images(tmp_path / "fleet")
    clean()
    site_faults.inject(site)
    for volume in images():
        remove(volume)


def images() -> list[str]:
    return [entry["volid"] for entry in pve("get", f"{CONTENT}?content=import")]


def remove(volume: str) -> None:
    volumes.path("node01", volume).unlink()


def nothing_changes(fleet: Fleet) -> None:
    status, output = fleet.plan()
    assert (status, "No changes." in output) == (0, True), output


def test_a_newer_build_is_for_new_machines_alone(fleet, site):
    fleet.from_image("a", 20)
    status, output = fleet.plan()
    assert (status, images()) == (0, []), output
    assert "a: image debian12 is local:import/debian12-20261102-" in output
    assert "qcow2, which the apply downloads" in output
    status, output = fleet.apply()
    assert status == 0, output
    has = config(500)
    assert (has["boot"], has["description"]) == ("order=scsi0", "proxmox-gitops: a")
    assert has["scsi0"].startswith("local-lvm:vm-500-disk-0,") and "size=4G" in has["scsi0"]
    (first,) = images()
    nothing_changes(fleet)

    Shelf(site).publish("debian12", "B")
    try:
        lock()
        nothing_changes(fleet)
        remove(first)
        nothing_changes(fleet)
        fleet.from_image("a", 20, memory=2048, image="debian-12", disks={"scsi0": {"size": "5G"}})
        fleet.from_image("b", 21)
        status, output = fleet.apply()
        assert status == 0, output
        assert [volume.rpartition("-")[0] for volume in images()] == ["local:import/debian12-20261116"]
        assert "size=5G" in config(500)["scsi0"] and "size=4G" in config(501)["scsi0"]
        nothing_changes(fleet)
        fleet.from_image("a", 20, memory=2048, image="ubuntu24", disks={"scsi0": {"size": "5G"}})
        status, output = fleet.plan()
        said = f"image: is ubuntu24, but the machine was made of {first}; it"
        assert (status, said in output, "No changes." in output) == (0, True, True), output
    finally:
        Shelf(site).publish("debian12", "A")
        lock()


def test_the_site_is_away(fleet, site):
    fleet.from_image("a", 20)
    assert fleet.apply()[0] == 0
    with site_faults.injected(site, {"match": "qcow2$|img$", "status": 404}):
        fleet.from_image("b", 21)  # whose image is on the storage
        fleet.from_image("c", 22, image="ubuntu24")
        status, output = fleet.apply()
        assert (status, sorted(fleet.outputs), vmids()) == (3, ["a", "b"], [500, 501]), output
        assert "proxmox/vms/c.yaml:8:1: image: c is not made: https://192.168.1.1/" in output, output
        assert "The next run tries again" in output
    status, output = fleet.apply()
    assert (status, vmids()) == (0, [500, 501, 502]), output


def test_a_disk_that_is_smaller_than_the_image(fleet):
    """Of an image that is not there yet nobody knows the size that its disk has."""
    fleet.from_image("a", 20, disks={"scsi0": {"size": "2G"}})
    too_small = "disks.scsi0.size: is 2G, but the image debian12 has 3G, and disks never shrink"
    status, output = fleet.apply()
    assert (status, too_small in output, vmids()) == (2, True, []), output
    assert len(images()) == 1
    status, output = fleet.plan()
    assert (status, too_small in output) == (1, True), output


def test_a_right_that_is_missing_is_named(fleet):
    fleet.from_image("a", 20)
    with faults.injected({"match": "GET /access/permissions", "data": {"/": {"VM.Audit": 1}}}):
        status, output = fleet.plan()
    assert status == 1, output
    for name, path in (
        ("Datastore.AllocateTemplate", "/storage/local"),
        ("Sys.AccessNetwork", "/nodes/node01"),
    ):
        assert f"lacks {name} on {path}: `pveum role modify GitOps -append -privs {name}`" in output, output


@pytest.mark.parametrize("task", ["download", "qmcreate"])
def test_killed_while_proxmox_works(fleet, task):
    """The next run waits for what goes on, takes it over and makes no second one."""
    fleet.from_image("a", 20)
    faults.inject({"match": f"TASK {task}:", "delay": 4, "times": 1})
    process = fleet.start()
    wait_for(lambda: not faults.current())  # the task goes on
    kill_session(process)
    status, output = fleet.apply()
    assert (status, vmids(), len(images())) == (0, [500], 1), output
    assert "size=4G" in config(500)["scsi0"]
    if task == "qmcreate":
        assert "taken over: a" in output, output
    nothing_changes(fleet)


def test_a_storage_that_fills_up_during_the_import(fleet):
    fleet.from_image("a", 20)
    with faults.injected({"full": "local-lvm", "at": 40}):
        status, output = fleet.apply()
    assert (status, vmids()) == (2, []), output
    assert "no machine could be made; the reason is above, the next run tries again" in output
    status, output = fleet.apply()
    assert (status, vmids()) == (0, [500]), output


def test_a_creation_that_was_cut_off_is_shown_and_does_not_hold_up_the_machine(fleet):
    """Its node died, for example: nothing works on it, and nobody can tell whose it would have been."""
    fleet.from_image("a", 20)
    with faults.injected({"match": "TASK qmcreate:", "kill": True, "times": 1}):
        assert fleet.apply()[0] == 2
    assert vmids() == [500]
    status, output = fleet.apply()
    assert (status, config(501)["name"]) == (0, "a"), output
    assert "warning: VMID 500 on node01 has a lock (create) and no name, and no task works on it" in output
    pve("set", "/nodes/node01/qemu/500/config", delete="lock", skiplock=1)
