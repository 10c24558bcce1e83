"""Machines from cloud images by plays: a site that publishes them, a node that downloads them."""

import json
import os
import subprocess
from pathlib import Path

import pytest

import update_images
from fleet.images import lock
from fleet.paths import PLAYBOOKS_DIR
from lab import lab_dir, secrets_dir
from lab.images import catalogue, server
from lab.images.shelf import Shelf
from lab.proxmox import faults
from tests.lifecycle.test_role import EARLIER, given, run

ROLES = str(PLAYBOOKS_DIR / "roles")
URL = "proxmox_vm_cloud_image_url"


@pytest.fixture(scope="module")
def site(hollow):
    """The folder of a site with images of 64 MiB, each locked."""
    folder = lab_dir() / "site"
    folder.mkdir()

    def file(image: str, build: str) -> Path:
        path = folder / f"{image}-{build}.qcow2"
        if not path.exists():
            subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, "64M"], check=True)
        return path

    for image in ("debian12", "rocky9", "ubuntu24"):
        file(image, "A")
    tls = (lab_dir() / "tls/proxmox.pem", secrets_dir() / "proxmox_tls.key")
    with (
        pytest.MonkeyPatch.context() as patch,
        server.serving(("192.168.1.1", 0), folder, Shelf(folder, file), tls) as url,
    ):
        patch.setenv("PROXMOX_IMAGES", str(folder / "images.yml"))
        (folder / "images.yml").write_text(catalogue.text(url))
        assert update_images.main([]) == 0
        yield folder


def play(file: object, *options: str, **env: str):
    argv = ["ansible-playbook", str(file), *options]
    return run(argv, PROXMOX_IMAGES=os.environ["PROXMOX_IMAGES"], ANSIBLE_ROLES_PATH=ROLES, **env)


def site_yml(*options: str, **variables: object):
    return play("proxmox/playbooks/site.yml", *options, *given(variables))


def moving_url(image: str) -> str:
    """The address under which the catalogue has it."""
    from fleet.images import catalogue as known

    return known.find(known.read(), image).url


def test_a_machine_of_an_image_of_the_catalogue(lab, site):
    wanted = {"proxmox_vm_name": "app", URL: moving_url("debian12")}
    checked = site_yml("--check", **wanted)
    assert lab.names() == {"ubuntu24-template"}
    made = site_yml(**wanted)
    assert checked.changed == made.changed == 4  # download, machine, growth, mark
    assert "proxmox_vm_node is empty, so node01 is taken" in made.output
    assert site_yml(**wanted).changed == 0
    config = lab.api.config("node01", 500)
    assert "size=5184M" in config["scsi0"] and config["ciuser"] == lock.locked("debian12").user
    assert config["description"] == f"ansible-vm: app from {moving_url('debian12')}"


def test_an_image_that_nobody_knows_needs_a_checksum(lab, site):
    url = lock.locked("debian12").url.replace("debian-12", "other-12")
    said = site_yml(proxmox_vm_name="app", **{URL: url})
    assert said.code != 0 and "give proxmox_vm_cloud_image_checksum" in said.output
    wrong = site_yml(
        proxmox_vm_name="app", proxmox_vm_cloud_image_checksum=f"sha256:{'0' * 64}",
        **{URL: lock.locked("rocky9").url},
    )  # fmt: skip
    assert wrong.code != 0 and "checksum" in wrong.output
    assert lab.names() == {"ubuntu24-template"}


def test_a_storage_that_fills_up_leaves_nothing(lab, site):
    with faults.injected({"full": "local-lvm", "at": 40}):
        failed = site_yml(proxmox_vm_name="app", **{URL: moving_url("debian12")})
    assert failed.code != 0 and "qmcreate" in failed.output
    assert lab.names() == {"ubuntu24-template"}
    assert lab.api.get("nodes/node01/storage/local-lvm/content", vmid=500) == []


def test_the_images_of_earlier_playbooks(lab, site, tmp_path):
    """Their table of addresses is in the role's defaults, where the playbook's variables can use it."""
    wanted = {"proxmox_operation": "create_vm", "proxmox_vm_name": "ubuntu-cloud-1", "proxmox_vm_vmid": 200,
              "proxmox_vm_node": "node01", URL: "{{ proxmox_cloud_image_urls['ubuntu-24.04'] }}"}  # fmt: skip
    (tmp_path / "play.yml").write_text(EARLIER % json.dumps(wanted))
    own = given({"proxmox_cloud_image_urls": {"ubuntu-24.04": moving_url("ubuntu24")}})
    assert play(tmp_path / "play.yml", *own).changed
    assert lab.api.config("node01", 200)["name"] == "ubuntu-cloud-1"
    defaults = play(tmp_path / "play.yml")
    assert (
        "is there already" in defaults.output
    )  # the role's own table was found, though its images are elsewhere
