"""The role's variables: what they mean, and everything that is wrong with them at once."""

import pytest

from fleet.findings import Fault
from fleet.lifecycle import cloud_init, spec
from fleet.proxmox import compare

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBqVvqF8lVLs8hQUeVSFkzcWtFrdyPqcQBUJU8pUIRCZ"
SUM = f"sha256:{'0' * 64}"
URL = "https://example.org/app.img"


@pytest.mark.parametrize(
    ("arguments", "field", "value"),
    [
        ({}, "linked", True),
        ({"linked_clone": "false"}, "linked", False),
        ({"linked_clone": "no"}, "linked", False),
        ({"vmid": "505"}, "vmid", 505),
        ({"vmid": ""}, "vmid", None),
        ({"disk_min_size": "50G"}, "disk_min_size", 50),
        ({"disk_min_size": "2T"}, "disk_min_size", 2048),
        ({"disks": {"scsi1": "10G"}}, "disks", (spec.Disk("scsi1", 10),)),
        (
            {"disks": {"scsi10": "1G", "scsi2": {"size": "1T", "storage": "tank"}}},
            "disks",
            (spec.Disk("scsi2", 1024, "tank"), spec.Disk("scsi10", 1)),
        ),
        ({"tags": ["Blue", "green"]}, "tags", ("blue", "green")),
        ({"tags": "blue;green"}, "tags", ("blue", "green")),
        ({"onboot": "true"}, "onboot", True),
        ({"onboot": ""}, "onboot", None),
        ({"timeout": ""}, "timeout", 120),
        ({"cloud_init_enabled": False}, "cloud_init", None),
        ({"description": " of the team\r\nfor tests\n"}, "description", "of the team\nfor tests"),
    ],
)
def test_values(arguments, field, value):
    assert getattr(spec.read(arguments), field) == value


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ({}, {"ipconfig0": "ip=dhcp", "ciupgrade": "0"}),
        (
            # The example of a fixed address.
            {"cloud_init_ip": "192.168.1.100/24", "cloud_init_gw": "192.168.1.1", "cloud_init_dns": "1.1.1.1"},
            {"ipconfig0": "ip=192.168.1.100/24,gw=192.168.1.1", "nameserver": "1.1.1.1", "ciupgrade": "0"},
        ),
        ({"cloud_init_dns": ["1.1.1.1", "9.9.9.9"]},
         {"ipconfig0": "ip=dhcp", "nameserver": "1.1.1.1 9.9.9.9", "ciupgrade": "0"}),
        ({"cloud_init_user": "lavender", "cloud_init_domain": "lan", "upgrade": "yes"},
         {"ciuser": "lavender", "ipconfig0": "ip=dhcp", "searchdomain": "lan", "ciupgrade": "1"}),
    ],
)  # fmt: skip
def test_cloud_init(arguments, options):
    assert cloud_init.options(spec.read(arguments).cloud_init) == options


def test_keys_of_the_list_and_of_the_file_are_joined(tmp_path):
    file = tmp_path / "keys"
    file.write_text(f"# of the team\n{KEY} b\n{KEY} a\n")
    found = spec.read({"cloud_init_ssh_keys": [f"{KEY} a\n"], "cloud_init_ssh_keys_file": str(file)})
    keys = [f"{KEY} a", f"{KEY} b"]
    assert list(found.cloud_init.keys) == keys
    assert compare.decoded(cloud_init.options(found.cloud_init)["sshkeys"]) == keys


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"name": "my_app"}, "proxmox_vm_name is my_app, which is not a host name"),
        ({"name": "a" * 64}, "not a host name"),
        ({"name": "app\nx"}, "proxmox_vm_name has a line break"),
        ({"node": "../pve"}, "proxmox_vm_node is ../pve, which is not the name of a node"),
        ({"vmid": "99"}, "proxmox_vm_vmid is 99, which is not a whole number from 100"),
        ({"vmid": "x"}, "proxmox_vm_vmid is x, which is not a whole number"),
        ({"vmid": 9005}, "9000 to 9999 are templates; choose one from 100 to 8999"),
        ({"disk_min_size": "50"}, "proxmox_vm_disk_min_size is 50, which is not a size in whole GiB such as 50G"),
        ({"disk_min_size": "-5G"}, "not a size"),
        ({"disk_min_size": "1.5G"}, "not a size"),
        ({"disks": {"scsi1": "-5G"}}, "proxmox_vm_disks.scsi1.size is -5G"),
        ({"disks": {"scsi1": {"storage": "tank"}}}, "proxmox_vm_disks.scsi1.size is missing"),
        ({"disks": {"scsi1": {"size": "1G", "ssd": True}}}, "proxmox_vm_disks.scsi1.ssd is not an option"),
        ({"disks": {"scsi31": "1G"}}, "proxmox_vm_disks.scsi31 is not a disk"),
        ({"disks": ["1G"]}, "proxmox_vm_disks is not a mapping"),
        ({"import_disk_size_increase": "-5G"}, "proxmox_vm_import_disk_size_increase is -5G; write +5G"),
        ({"import_disk_size_increase": "20G"}, "write +5G, or use proxmox_vm_disk_min_size"),
        ({"import_disk_format": "vdi"}, "proxmox_vm_import_disk_format is vdi, which is not qcow2, raw or vmdk"),
        ({"cloud_image_url": "http://example.org/a.img"}, "proxmox_vm_cloud_image_url must start with https://"),
        ({"cloud_image_url": "https://me:pw@example.org/a.img"}, "must have the form https://host/path"),
        ({"cloud_image_url": URL, "cloud_image_checksum": "sha256:abc"}, "proxmox_vm_cloud_image_checksum is"),
        ({"linked_clone": "maybe"}, "proxmox_vm_linked_clone is maybe; write true or false"),
        ({"cores": 0}, "proxmox_vm_cores is 0"),
        ({"tags": ["a b,c"]}, "proxmox_vm_tags has a b,c, which is not a tag"),
        ({"cloud_init_user": "Bad User"}, "proxmox_vm_cloud_init_user is Bad User"),
        ({"cloud_init_password": "geheim"}, "machines are reached by SSH key only"),
        ({"cloud_init_ip": "192.168.1.100"}, "proxmox_vm_cloud_init_ip is wrong: ip=192.168.1.100 has no prefix"),
        ({"cloud_init_ip": "192.168.1.0/24"}, "is the address of the network itself"),
        ({"cloud_init_gw": "192.168.1.1"}, "proxmox_vm_cloud_init_gw is wrong: gw is set with ip=dhcp"),
        ({"cloud_init_ip": "192.168.1.9/24", "cloud_init_gw": "x"}, "proxmox_vm_cloud_init_gw is wrong: gw=x"),
        ({"cloud_init_dns": "1.1.1.1 dns"}, "proxmox_vm_cloud_init_dns has dns, which is not an IP address"),
        ({"cloud_init_ssh_keys": ["nonsense"]}, "proxmox_vm_cloud_init_ssh_keys has an entry, number 1, that is not a"),
        ({"cloud_init_ssh_keys_file": "/nowhere"}, "proxmox_vm_cloud_init_ssh_keys_file is /nowhere, which does not"),
    ],
)  # fmt: skip
def test_what_is_wrong(arguments, problem):
    with pytest.raises(Fault) as caught:
        spec.read(arguments)
    assert problem in str(caught.value)
    assert "geheim" not in str(caught.value)


def test_a_private_key_is_refused_without_being_shown():
    key = "-----BEGIN OPENSSH PRIVATE KEY-----\nsecret\n-----END OPENSSH PRIVATE KEY-----\n"
    with pytest.raises(Fault) as caught:
        spec.read({"cloud_init_ssh_keys": [key]})
    assert str(caught.value).count("is a private key") == 1
    assert "secret\n" not in str(caught.value) and "BEGIN" not in str(caught.value)


def test_all_is_told_at_once():
    with pytest.raises(Fault) as caught:
        spec.read({"name": "_", "vmid": 1, "cloud_init_ip": "x", "disks": {"scsi1": "1"}})
    assert len(str(caught.value).split("; ")) >= 4
