"""What a VM file does not say stays: Terraform's input is filled from what the provider recorded."""

import copy
import json

import pytest

from fleet.findings import Fault
from fleet.terraform import tfvars, unsaid
from tests.helpers.machines import made
from tests.plans.test_plan_guard import MACHINE

CARD = MACHINE["network_device"][0]
CLOUD_INIT = MACHINE["initialization"][0]


def values(**fields) -> dict:
    return {
        "vms": {"k8s-dev": tfvars.as_data(made("k8s-dev", **{"disks": {"scsi0": {"size": "4G"}}} | fields))}
    }


def filled(has: dict, **fields) -> dict:
    said = values(**fields)
    said["vms"]["k8s-dev"]["boot"] = ["scsi0"]
    before = copy.deepcopy(said)
    found = unsaid.filled(said, {"k8s-dev": MACHINE | has})
    assert said == before, "the input that was given is not changed"
    assert unsaid.filled(found, {"k8s-dev": MACHINE | has}) == found, "a second time adds nothing"
    assert bool(unsaid.added(said, found)) == (found != said)
    return json.loads(json.dumps(found["vms"]["k8s-dev"]))


DRIVE = {"interface": "ide0", "datastore_id": "ssd"}
GPU = {"device": "hostpci2", "mapping": "gpu", "pcie": True, "rombar": True, "xvga": False, "mdev": "", "id": "",
       "rom_file": ""}  # fmt: skip
RAW = GPU | {"mapping": "", "id": "0000:01:00.0"}
CASES = [
    # what the provider recorded, what the file says, what is in the input
    ({}, {}, {}),
    ({"bios": "ovmf", "machine": "q35"}, {}, {"bios": "ovmf", "machine": "q35"}),
    ({"bios": "ovmf"}, {"bios": "seabios"}, {"bios": "seabios"}),
    ({"memory": [{"dedicated": 1024, "floating": 512}]}, {}, {"balloon": 512}),
    ({"memory": [{"dedicated": 1024, "floating": 512}]}, {"balloon": 0}, {"balloon": 0}),
    ({"cpu": [{"flags": ["+aes"], "limit": 2, "numa": True, "hotplugged": 1, "units": 100}]}, {},
     {"cpu_flags": ["+aes"], "cpulimit": 2, "numa": True, "vcpus": 1}),
    ({"startup": [{"order": 3, "up_delay": -1, "down_delay": -1}]}, {}, {"startup": {"order": 3}}),
    ({"startup": [None]}, {}, {}),
    ({"watchdog": [{"enabled": True, "model": "ib700", "action": "reset"}]}, {},
     {"watchdog": {"model": "ib700", "action": "reset"}}),
    ({"watchdog": [{"enabled": True, "model": "ib700", "action": "reset"}]}, {"watchdog": "none"},
     {"watchdog": None}),
    ({"watchdog": [{"enabled": False, "model": "i6300esb", "action": "none"}]}, {}, {}),
    ({"network_device": [CARD, CARD | {"bridge": "vmbr1", "mac_address": "BC:24:11:00:00:01"}]}, {},
     {"net": {"net1": {"bridge": "vmbr1", "model": "virtio", "firewall": False, "macaddr": "BC:24:11:00:00:01"}}}),
    ({"network_device": [CARD, CARD]}, {"net1": "none"}, {"net": {"net1": None}}),
    ({"initialization": [CLOUD_INIT | {"ip_config": [
        *CLOUD_INIT["ip_config"], {"ipv4": [{"address": "10.0.0.5/24", "gateway": ""}], "ipv6": []}]}]}, {},
     {"ipconfig": {"ipconfig1": {"ip": "10.0.0.5/24"}}}),
    ({"initialization": [CLOUD_INIT | DRIVE]}, {}, {"cloudinit": {"slot": "ide0", "storage": "ssd"}}),
    # The clone of a run that was cut off has no drive yet.
    ({"initialization": []}, {}, {}),
    ({"initialization": [CLOUD_INIT | DRIVE]}, {"cloudinit": {"slot": "ide2"}},
     {"cloudinit": {"slot": "ide2", "storage": None}}),
    ({"hostpci": [GPU]}, {},
     {"hostpci": {"hostpci2": {"mapping": "gpu", "pcie": True, "rombar": True, "x_vga": False}}}),
    ({"hostpci": [GPU]}, {"hostpci2": "none", "hostpci0": {"mapping": "nic"}},
     {"hostpci": {"hostpci2": None, "hostpci0": {"mapping": "nic", "pcie": False, "rombar": True, "x_vga": False}}}),
    ({"hostpci": [RAW]}, {},
     {"hostpci": {"hostpci2": {"id": "0000:01:00.0", "pcie": True, "rombar": True, "x_vga": False}}}),
    ({"usb": [{"host": "spice", "mapping": "", "usb3": False}]}, {},
     {"usb": {"usb0": {"host": "spice", "usb3": False}}}),
    ({"operating_system": [{"type": "win11"}], "keyboard_layout": "de", "tablet_device": False}, {},
     {"ostype": "win11", "keyboard": "de", "tablet": False}),
    ({"cdrom": [{"file_id": "local:iso/x.iso", "interface": "ide3"}]}, {},
     {"cdrom": {"file": "local:iso/x.iso", "slot": "ide3"}}),
]  # fmt: skip


@pytest.mark.parametrize(("has", "says", "expected"), CASES)
def test_what_a_file_does_not_say_is_as_the_machine_has_it(has, says, expected):
    assert filled(has, **says).get("hardware", {}) == expected


def test_options_of_the_first_card():
    card = CARD | {"queues": 4, "disconnected": True}
    network = filled({"network_device": [card]})["network"]
    assert (network["queues"], network["link_down"]) == (4, True)
    network = filled({"network_device": [card]}, network={"queues": 0})["network"]
    assert (network["queues"], network["link_down"]) == (0, True)


def test_a_machine_without_a_record_is_as_its_file_says():
    said = values()
    assert unsaid.filled(said, {}) == said


@pytest.mark.parametrize(
    ("devices", "says"),
    [
        ([CARD, {**CARD, "model": "", "bridge": ""}, CARD], {}),  # a gap, as the provider records it
        ([CARD, CARD, CARD], {"net1": "none"}),
    ],
)
def test_a_gap_between_cards_is_refused(devices, says):
    with pytest.raises(Fault, match="k8s-dev has net2 without net1"):
        filled({"network_device": devices}, **says)


@pytest.mark.parametrize(
    ("order", "kept"),
    [
        (["scsi0", "ide3"], ["scsi0", "ide3"]),  # where Proxmox puts a drive that was added
        (["scsi0", "sata5", "ide3"], ["scsi0", "sata5", "ide3"]),
        (["scsi0", "net0"], ["scsi0"]),
        (["scsi0", "scsi1"], ["scsi0"]),  # a disk
        (["ide3", "scsi0"], ["scsi0"]),
        ([], ["scsi0"]),
    ],
)
def test_a_cd_drive_stays_behind_the_devices_to_start_from(order, kept):
    said = values(disks={"scsi0": {"size": "4G"}, "scsi1": {"size": "1G"}})
    said["vms"]["k8s-dev"]["boot"] = ["scsi0"]
    found = unsaid.filled(said, {"k8s-dev": MACHINE | {"boot_order": order}})
    assert found["vms"]["k8s-dev"]["boot"] == kept
    assert unsaid.filled(found, {"k8s-dev": MACHINE | {"boot_order": order}}) == found


def test_a_disk_that_exists_keeps_its_format():
    said = values(
        disks={"scsi0": {"size": "4G", "format": "qcow2"}, "scsi2": {"size": "1G", "format": "qcow2"}}
    )
    found = unsaid.filled(said, {"k8s-dev": MACHINE})
    assert [disk["format"] for disk in found["vms"]["k8s-dev"]["disks"]] == ["raw", "qcow2"]


IMAGE = "local:import/debian12-20261102-1a2b3c4d.qcow2"


@pytest.mark.parametrize(
    ("recorded", "given", "kept"),
    [
        (IMAGE, None, IMAGE),  # a machine from an image
        (IMAGE, IMAGE.replace("1102", "1116"), IMAGE),  # a newer build
        ("", IMAGE, None),  # one that was taken over, or cloned
        (None, None, None),
    ],
)
def test_of_what_a_disk_was_made_its_record_says(recorded, given, kept):
    said = values()
    said["vms"]["k8s-dev"]["boot"] = ["scsi0"]
    if given:
        said["vms"]["k8s-dev"]["disks"][0]["import_from"] = given
    has = {"disk": [MACHINE["disk"][0] | {"import_from": recorded}]}
    (disk,) = unsaid.filled(said, {"k8s-dev": MACHINE | has})["vms"]["k8s-dev"]["disks"]
    assert disk.get("import_from") == kept
