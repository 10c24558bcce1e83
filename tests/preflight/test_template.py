"""What a template has that its clones keep whatever their files say, or that no token can clone."""

import pytest

from fleet.preflight import template
from tests.helpers.machines import TEMPLATE, made

EFI = {"bios": "ovmf", "efidisk": {"storage": "local-lvm"}}
MEND = "change the template (VMID 9000 on node01)"
CASES = [
    ({}, {}, []),
    (EFI, {"efidisk0": "local-lvm:base-9000-disk-1,efitype=4m,size=4M"}, []),
    (EFI, {}, []),
    (EFI, {"efidisk0": "local-lvm:base-9000-disk-1,size=128K"},
     [f"efidisk.efitype: template ubuntu24-template has 2m, which its clones keep; write that, or {MEND}"]),
    (EFI, {"efidisk0": "local-lvm:base-9000-disk-1,efitype=4m,pre-enrolled-keys=1,size=4M"},
     [f"efidisk.pre_enrolled_keys: template ubuntu24-template has true, which its clones keep; write that, or {MEND}"]),
    ({"tpmstate": {"storage": "local-lvm"}}, {"tpmstate0": "local-lvm:base-9000-disk-2,size=4M,version=v2.0"}, []),
    ({"tpmstate": {"storage": "local-lvm"}}, {"tpmstate0": "local-lvm:base-9000-disk-2,size=4M,version=v1.2"},
     [f"tpmstate.version: template ubuntu24-template has v1.2, which its clones keep; write that, or {MEND}"]),
    ({}, {"hookscript": "local:snippets/x.pl"},
     [f"clone: template ubuntu24-template has hookscript, which root alone may give to a machine; {MEND}"]),
    ({}, {"hostpci0": "0000:01:00.0,pcie=1"},
     [f"clone: template ubuntu24-template has hostpci0, which root alone may give to a machine; {MEND}"]),
    ({}, {"usb1": "host=1234:5678"},
     [f"clone: template ubuntu24-template has usb1, which root alone may give to a machine; {MEND}"]),
    ({}, {"hostpci0": "mapping=gpu,pcie=1", "usb0": "spice", "usb1": "mapping=key,usb3=1"}, []),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "config", "expected"), CASES)
def test_a_template_and_a_file(fields, config, expected):
    found = template.conflicts(made("k8s-dev", **fields), TEMPLATE, config)
    assert [one.message for one in found] == expected


@pytest.mark.parametrize(
    ("disks", "storages", "expected"),
    [
        ({"scsi0": {"size": "9G"}}, {"local-lvm": {"type": "lvmthin"}}, []),
        ({"scsi0": {"size": "9G"}, "scsi1": {"size": "1G", "storage": "ssd"}}, {"local-lvm": {"type": "lvmthin"}}, []),
        ({"scsi0": {"size": "9G"}}, {}, []),
        ({"scsi0": {"size": "9G", "storage": "ssd"}}, {},
         ["disks.scsi0.storage: is ssd, but a linked clone has its disk where the template has it, on local-lvm"]),
        ({"scsi0": {"size": "9G"}}, {"local-lvm": {"type": "lvm"}},
         ["full_clone: is false, but Proxmox has no linked clones on local-lvm, of type lvm"]),
    ],
)  # fmt: skip
def test_a_linked_clone(disks, storages, expected):
    machine = made("k8s-dev", full_clone=False, disks=disks)
    found = template.linked(machine, {"scsi0": "local-lvm:base-9000-disk-0,size=3584M"}, storages)
    assert [one.message for one in found] == expected
