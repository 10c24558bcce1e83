"""New disks as text, and sizes that only grow."""

import pytest

from fleet.findings import Fault
from fleet.proxmox import disks


@pytest.mark.parametrize(
    ("kind", "arguments", "text"),
    [
        ("dir", {"gib": 32}, "s:32,format=qcow2,discard=on,ssd=1"),
        ("nfs", {"gib": 32, "format": "raw"}, "s:32,format=raw,discard=on,ssd=1"),
        ("cifs", {"gib": 1024, "ssd": False}, "s:1024,format=qcow2,discard=on"),
        ("btrfs", {"gib": 32, "format": "qcow2"}, "s:32,discard=on,ssd=1"),
        ("lvmthin", {"gib": 32, "iothread": True}, "s:32,discard=on,ssd=1,iothread=1"),
        ("zfspool", {"gib": 32, "cache": "writeback"}, "s:32,discard=on,ssd=1,cache=writeback"),
        ("rbd", {"gib": 32, "cache": "none"}, "s:32,discard=on,ssd=1"),
        ("lvm", {"gib": 32}, "s:32"),
        # The size of an imported disk is the image's.
        (
            "dir",
            {"image": "local:import/a.qcow2"},
            "s:0,import-from=local:import/a.qcow2,format=qcow2,discard=on,ssd=1",
        ),
        ("lvmthin", {"image": "local:import/a.qcow2"}, "s:0,import-from=local:import/a.qcow2,discard=on,ssd=1"),
        ("lvm", {"image": "local:import/a.qcow2"}, "s:0,import-from=local:import/a.qcow2"),
    ],
)  # fmt: skip
def test_a_new_disk(kind, arguments, text):
    assert disks.disk(kind, "s", **arguments) == text


def test_an_unknown_storage_or_format_is_refused_with_what_there_is():
    with pytest.raises(Fault, match="type esxi are not supported; use one of btrfs, cifs, dir"):
        disks.disk("esxi", "s", 32)
    with pytest.raises(Fault, match="s holds disks as qcow2, raw, vmdk, not as vdi"):
        disks.disk("dir", "s", 32, format="vdi")


@pytest.mark.parametrize(
    ("volume", "base"),
    [
        ("local-lvm:base-9000-disk-0", True),
        ("local-lvm:vm-9000-disk-0", False),
        ("local:9000/base-9000-disk-0.qcow2", True),
        ("local:9000/vm-9000-disk-0.qcow2", False),
        # Linked clones.
        ("local:9000/base-9000-disk-0.qcow2/500/vm-500-disk-0.qcow2", False),
        ("tank:base-9000-disk-0/vm-500-disk-0", False),
    ],
)
def test_base_images(volume, base):
    assert disks.is_base(volume) == base


@pytest.mark.parametrize(
    ("current", "wanted", "exact", "grown"),
    [
        (32, 20, False, False),
        (32, 50, False, True),
        (10, 20, False, True),
        (20, 20, True, False),
        (19.5, 20, True, True),
    ],
)
def test_a_disk_grows_where_it_is_too_small(current, wanted, exact, grown):
    assert disks.grows(current, wanted, exact) == grown


def test_a_disk_never_shrinks():
    with pytest.raises(Fault, match="has 32G and cannot become 20G: disks only grow; make a new disk"):
        disks.grows(32, 20, exact=True)
