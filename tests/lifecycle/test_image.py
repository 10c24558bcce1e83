"""The machine that is made of an image, as one call."""

import pytest

from fleet.findings import Fault
from fleet.images.lock import Locked
from fleet.lifecycle import image, spec

STORAGES = {
    "local": {"type": "dir", "content": "images,import"},
    "local-lvm": {"type": "lvmthin", "content": "images,rootdir"},
    "backup": {"type": "dir", "content": "backup"},
    "tank": {"type": "zfspool", "content": "images"},
}
VOLUME = "local:import/debian12.qcow2"


def machine(
    storage: str = "local-lvm", firmware: str = "seabios", agent: bool = False, **arguments: object
) -> dict:
    build = Locked("debian12", "https://example.org/d.qcow2", user="debian", agent=agent, firmware=firmware)
    given = spec.read({"cloud_image_url": build.url, **arguments})
    return image.machine(given, STORAGES, storage, build, VOLUME, "app")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, {"cores": 2, "memory": 2048, "agent": "enabled=0", "net0": "virtio,bridge=vmbr0", "ciuser": "debian",
              "scsi0": f"local-lvm:0,import-from={VOLUME},discard=on,ssd=1,iothread=1", "ide2": "local-lvm:cloudinit"}),
        ({"agent": True}, {"agent": "enabled=1"}),
        ({"cores": 4, "memory": 512, "bridge": "vmbr1", "vlan": 7},
         {"cores": 4, "memory": 512, "net0": "virtio,bridge=vmbr1,tag=7"}),
        ({"storage": "local", "import_disk_format": "raw"},
         {"scsi0": f"local:0,import-from={VOLUME},format=raw,discard=on,ssd=1,iothread=1"}),
        # A format is said only where the storage has a choice.
        ({"storage": "tank", "import_disk_format": "qcow2"},
         {"scsi0": f"tank:0,import-from={VOLUME},discard=on,ssd=1,iothread=1"}),
        ({"firmware": "ovmf"},
         {"bios": "ovmf", "machine": "q35", "efidisk0": "local-lvm:1,efitype=4m,pre-enrolled-keys=0"}),
        ({"disks": {"scsi1": {"size": "10G", "storage": "tank"}, "virtio1": "1G"}},
         {"scsi1": "tank:10,discard=on,ssd=1,iothread=1", "virtio1": "local-lvm:1,discard=on,iothread=1"}),
        ({"cloud_init_user": "me"}, {"ciuser": "me"}),
    ],
)  # fmt: skip
def test_a_machine(arguments, expected):
    assert expected.items() <= machine(**arguments).items()


def test_without_cloud_init_there_is_no_drive():
    assert not {"ide2", "ciuser", "ipconfig0"} & machine(cloud_init_enabled=False).keys()


@pytest.mark.parametrize(
    ("names", "wanted", "chosen"),
    [
        (("local", "local-lvm", "tank"), "", "local-lvm"),
        (("local", "tank"), "", "local"),
        (("tank", "backup"), "", "tank"),
        (("local", "tank"), "tank", "tank"),
    ],
)
def test_the_storage_of_the_disks(names, wanted, chosen):
    found = {name: STORAGES[name] for name in names}
    assert image.storage_of_disks(found, "node01", spec.read({"disk_storage": wanted})) == chosen


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("backup", "proxmox_vm_disk_storage is backup, which holds no disks: on node01 these do: local"),
        ("nas", "proxmox_vm_disk_storage is nas, which holds no disks"),
    ],
)
def test_no_storage_for_the_disks(wanted, said):
    with pytest.raises(Fault, match=said):
        image.storage_of_disks(STORAGES, "node01", spec.read({"disk_storage": wanted}))


def test_a_disk_on_a_storage_that_is_not_there():
    with pytest.raises(
        Fault, match=r"disks\.scsi1\.storage is nas, which is not there: there are backup, local"
    ):
        machine(disks={"scsi1": {"size": "1G", "storage": "nas"}})
