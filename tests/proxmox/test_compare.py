"""Values of Proxmox's that mean the same, and what is shown of them."""

import pytest

from fleet.proxmox import compare

MAC = "BC:24:11:00:00:01"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJvcmluZ2tleWZvcnRlc3RzMTIzNDU2Nzg5MDEyMzQ1 ana@home"


@pytest.mark.parametrize(
    ("name", "now", "wanted", "same"),
    [
        ("cores", "", "1", True),
        ("cores", "2", "1", False),
        ("agent", "1", "enabled=1", True),
        ("agent", "", "0", True),
        ("agent", "1", "1,fstrim_cloned_disks=0", True),
        ("agent", "1", "1,fstrim_cloned_disks=1", False),
        ("net0", f"virtio={MAC},bridge=vmbr0,tag=7", f"virtio={MAC},tag=7,bridge=vmbr0", True),
        ("net0", f"virtio={MAC},bridge=vmbr0", f"virtio={MAC},bridge=vmbr0,firewall=0", True),
        ("net0", f"virtio={MAC},bridge=vmbr0", f"virtio={MAC},bridge=vmbr1", False),
        ("scsi0", "a:vm-1-disk-0,discard=on,size=8G,ssd=1", "a:vm-1-disk-0,ssd=1,size=8G,discard=on", True),
        ("scsi0", "a:vm-1-disk-0,size=8G", "a:vm-1-disk-0,size=8G,cache=none,backup=1", True),
        ("scsi0", "a:vm-1-disk-0,size=8G", "a:vm-1-disk-0,size=8G,cache=writeback", False),
        ("tags", "a;b", "b,a", True),
        ("tags", "a;b", "a", False),
        ("description", "x\n", "x", True),
        ("boot", "order=scsi0;net0", "order=scsi0;net0", True),
        ("boot", "order=scsi0;net0", "order=net0;scsi0", False),
        ("startup", "1,up=30", "order=1,up=30", True),
        ("cpu", "host", "cputype=host", True),
        ("name", "a,b", "b,a", False),
        ("sshkeys", compare.encoded([KEY]), f"{KEY}\n", True),
        (
            "next-id",
            {"lower": "500", "upper": "9000"},
            "upper=9000,lower=500",
            True,
        ),  # so the datacenter's come
    ],
)
def test_what_means_the_same(name, now, wanted, same):
    assert (not compare.differences({name: now} if now else {}, {name: wanted})) == same


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("cipassword", "geheim", "***"),
        ("cipassword", "", ""),
        ("cores", "4", "4"),
        ("sshkeys", compare.encoded([KEY]), "ssh-ed25519 …MDEyMzQ1 ana@home"),
    ],
)
def test_what_is_shown(name, value, shown):
    assert compare.shown(name, value) == shown
