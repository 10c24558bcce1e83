"""What is set through the API since Terraform's provider does not do it, and what it must not be given to do."""

import pytest

from fleet.plans import direct

DRIVE = "local-lvm:vm-105-cloudinit,media=cdrom,size=4M"
SETTINGS = [
    # what the file says, what the guest has, what is set (None: deleted)
    ({}, {"rng0": "source=/dev/urandom", "bios": "ovmf", "ide2": DRIVE, "tablet": 0}, {}),
    ({"rng0": {"source": "/dev/urandom"}}, {}, {"rng0": "source=/dev/urandom"}),
    ({"rng0": {"source": "/dev/urandom"}}, {"rng0": "/dev/urandom"}, {}),
    ({"rng0": {"source": "/dev/urandom"}}, {"rng0": "source=/dev/urandom,max_bytes=1024"}, {}),
    ({"rng0": {"source": "/dev/urandom", "max_bytes": 2048}}, {"rng0": "source=/dev/urandom,period=9"},
     {"rng0": "source=/dev/urandom,period=9,max_bytes=2048"}),
    ({"rng0": None}, {"rng0": "source=/dev/urandom"}, {"rng0": None}),
    ({"rng0": None}, {}, {}),
    ({"bios": "seabios"}, {"bios": "ovmf"}, {"bios": "seabios"}),
    ({"bios": "seabios"}, {}, {}),
    ({"bios": "ovmf", "keyboard": "de", "tablet": False}, {"tablet": 1}, {}),
    ({"keyboard": "en-us", "tablet": True}, {"keyboard": "de", "tablet": 0}, {"keyboard": "en-us", "tablet": "1"}),
    # Without the option Proxmox takes the datacenter's layout.
    ({"keyboard": "en-us", "tablet": True}, {}, {"keyboard": "en-us"}),
    ({"keyboard": "en-us", "tablet": True}, {"keyboard": "en-us", "tablet": "1"}, {}),
    ({"watchdog": None, "cpulimit": 0}, {"watchdog": "model=ib700", "cpulimit": "2"},
     {"watchdog": None, "cpulimit": None}),
    ({"watchdog": {"model": "ib700"}, "cpulimit": 2}, {"watchdog": "model=ib700", "cpulimit": "2"}, {}),
    ({"hostpci": {"hostpci0": None, "hostpci1": {"mapping": "gpu"}}, "usb": {"usb0": None}},
     {"hostpci0": "mapping=a", "hostpci1": "mapping=gpu", "hostpci2": "mapping=b"}, {"hostpci0": None}),
    ({"cloudinit": {"slot": None, "storage": None}},
     {"ide2": DRIVE, "ide3": "none,media=cdrom", "scsi0": "local-lvm:vm-105-disk-0", "ciuser": "a", "sshkeys": "b",
      "ipconfig0": "ip=dhcp", "net0": "virtio", "name": "c"},
     {"ide2": None, "ciuser": None, "sshkeys": None, "ipconfig0": None}),
    ({"cloudinit": {"slot": "ide2", "storage": None}}, {"ide2": DRIVE}, {}),
]  # fmt: skip


@pytest.mark.parametrize(("said", "config", "found"), SETTINGS)
def test_settings(said, config, found):
    assert direct.settings(said, config) == found


EFI = {"storage": "local-lvm", "efitype": "4m", "pre_enrolled_keys": True}
TPM = {"storage": "local-lvm", "version": "v2.0"}
LACKING = [
    ({}, {"efidisk0": "local-lvm:vm-105-disk-1"}, []),
    ({"efidisk": EFI}, {"efidisk0": "local-lvm:vm-105-disk-1,efitype=4m,size=4M"}, []),
    ({"efidisk": EFI}, {}, ["efidisk"]),
    ({"efidisk": EFI}, {"efidisk0": "local-lvm:vm-105-disk-1,size=128K"}, ["efidisk.efitype"]),
    ({"efidisk": EFI}, {"efidisk0": "local:105/vm-105-disk-1.raw,efitype=4m"}, ["efidisk.storage"]),
    ({"tpmstate": TPM}, {"tpmstate0": "local-lvm:vm-105-disk-2,size=4M,version=v2.0"}, []),
    ({"tpmstate": TPM}, {"tpmstate0": "local:105/vm-105-disk-2.raw,size=4M"}, ["tpmstate.storage", "tpmstate.version"]),
]  # fmt: skip


@pytest.mark.parametrize(("said", "config", "fields"), LACKING)
def test_disks_that_only_a_new_machine_gets(said, config, fields):
    assert [field for field, _ in direct.lacking(said, config)] == fields


DROPPED = [
    ({"hostpci": {"hostpci0": {"mapping": "a"}}}, {"hostpci0": "mapping=b", "hostpci1": "mapping=c"}, ["hostpci1"]),
    ({"hostpci": {"hostpci0": None, "hostpci1": None}}, {"hostpci0": "mapping=b", "hostpci1": "mapping=c"}, []),
    ({}, {"usb0": "mapping=a", "virtiofs7": "dirid=a", "hostpci15": "mapping=a", "net1": "virtio"},
     ["hostpci15", "usb0", "virtiofs7"]),
    # The provider does not take these away.
    ({}, {"usb4": "mapping=a", "virtiofs8": "dirid=a"}, []),
]  # fmt: skip


@pytest.mark.parametrize(("said", "config", "fields"), DROPPED)
def test_devices_that_a_person_added_are_not_taken_away(said, config, fields):
    assert [
        field for field, _ in direct.dropped(said, config, {"usb", "virtiofs", "hostpci", "cpu"})
    ] == fields
    assert list(direct.dropped(said, config, {"cpu"})) == []
