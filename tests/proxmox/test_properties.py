"""Property strings and sizes, as Proxmox prints them."""

import pytest

from fleet.proxmox import properties


@pytest.mark.parametrize(
    ("text", "first", "found"),
    [
        ("local-lvm:vm-1-disk-0,size=32G,ssd=1", "file",
         {"file": "local-lvm:vm-1-disk-0", "size": "32G", "ssd": "1"}),
        ("virtio=BC:24:11:00:00:01,tag=7", "model", {"virtio": "BC:24:11:00:00:01", "tag": "7"}),
        ("ip=192.168.1.20/24,gw=192.168.1.1", "file", {"ip": "192.168.1.20/24", "gw": "192.168.1.1"}),
        ("none,media=cdrom", "file", {"file": "none", "media": "cdrom"}),
        ("1,fstrim_cloned_disks=1", "enabled", {"enabled": "1", "fstrim_cloned_disks": "1"}),
        (" a , b=c=d ,,", "file", {"file": "a", "b": "c=d"}),
        ("", "file", {}),
    ],
)  # fmt: skip
def test_parse(text, first, found):
    assert properties.parse(text, first) == found
    assert properties.parse(properties.render(found, first), first) == found


def test_render_in_the_order_of_proxmox():
    assert properties.render({"ssd": 1, "size": "32G", "file": "local:0"}) == "local:0,size=32G,ssd=1"
    assert properties.render({"b": 1, "a": 2}) == "a=2,b=1"


@pytest.mark.parametrize(
    ("text", "mib"),
    [
        ("3584M", 3584),
        ("32G", 32768),
        ("1.5G", 1536),
        ("1T", 1 << 20),
        ("512K", 0.5),
        ("1048576", 1),
        ("0", 0),
    ],
)
def test_size(text, mib):
    assert properties.size_mib(text) == mib


@pytest.mark.parametrize("text", ["", "G", "-1G", "1g", "1 G", "1GB", "1G\n", "\u0661G"])
def test_no_size(text):
    with pytest.raises(ValueError, match="is not a size; expected"):
        properties.size_mib(text)


@pytest.mark.parametrize(
    ("drive", "mib"), [("local-lvm:base-9000-disk-0,size=3584M", 3584), ("none,media=cdrom", 0), ("", 0)]
)
def test_disk(drive, mib):
    assert properties.disk_mib(drive) == mib


@pytest.mark.parametrize(
    ("mib", "text"),
    [(3584, "3584M"), (32768, "32G"), (1 << 20, "1T"), (1536, "1536M"), (0, "0M"), (3 << 30, "3072T")],
)
def test_size_text(mib, text):
    assert properties.size_text(mib) == text
    assert properties.size_mib(text) == mib
