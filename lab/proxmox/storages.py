"""What each type of storage can do and how it refuses, as the plugins of pve-storage 9.1 do.

The volumes of all types are sparse files here. Their names, sizes, features and words are those of the type.
"""

from typing import NamedTuple

from lab.proxmox import state
from lab.proxmox.errors import ApiError


class Kind(NamedTuple):
    formats: tuple[str, ...]  # the default first
    files: bool = False  # volumes are files in a folder for each guest
    bases: bool = True  # has base volumes, of which linked clones are made
    tracked: bool = True  # a linked clone's name tells its base volume
    extent: int = 1  # sizes are multiples of this many bytes
    device: str = ""  # the path of a volume on the node
    unnamed: str = "unable to parse directory volume name '{}'"


KINDS = {
    "dir": Kind(("raw", "qcow2", "subvol", "vmdk"), files=True, device="/var/lib/vz/images/{}"),
    "nfs": Kind(("raw", "qcow2", "vmdk"), files=True, device="/mnt/pve/share/images/{}"),
    "lvmthin": Kind(
        ("raw",), tracked=False, extent=4 << 20, device="/dev/pve/{}",
        unnamed="unable to parse lvm volume name '{}'",
    ),
    "zfspool": Kind(
        ("raw", "subvol"), extent=1 << 20, device="/dev/zvol/tank/{}",
        unnamed="unable to parse zfs volume name '{}'",
    ),
    "lvm": Kind(
        ("raw",), bases=False, extent=4 << 20, device="/dev/vg/{}",
        unnamed="unable to parse lvm volume name '{}'",
    ),
}  # fmt: skip


def check(name: str) -> dict:
    """A storage's definition; ApiError if there is none."""
    if name not in state.STORAGES:
        raise ApiError(f"storage '{name}' does not exist")
    return state.STORAGES[name]


def kind(name: str) -> Kind:
    return KINDS[check(name)["type"]]


def shared(name: str) -> bool:
    return bool(check(name).get("shared"))


def holds(name: str, content: str) -> bool:
    return content in check(name)["content"].split(",")


def fitting(name: str, wanted: str) -> str:
    """A format that the storage has: the wanted one, else its default."""
    formats = kind(name).formats
    return wanted if wanted in formats and wanted != "subvol" else formats[0]


def rounded(name: str, length: int) -> int:
    extent = kind(name).extent
    return -(-length // extent) * extent


def full(name: str, volume: str, length: int) -> ApiError:
    """How an allocation fails on a full storage."""
    words = {
        "lvmthin": f"lvcreate 'pve/{volume}' error:   Cannot create new thin volume, "
                   "free space in thin pool pve/data reached threshold.",
        "zfspool": f"zfs error: cannot create 'tank/{volume}': out of space",
        "lvm": f"not enough free space (0 < {length >> 10})",
    }  # fmt: skip
    known = words.get(check(name)["type"])
    return ApiError(known or f"unable to create image '{volume}': No space left on device")


def unsupported(name: str, form: str) -> ApiError:
    plugin = {"lvmthin": "LvmThin", "lvm": "LVM", "zfspool": "ZFSPool"}.get(check(name)["type"])
    where = f" at /usr/share/perl5/PVE/Storage/{plugin}Plugin.pm line 102." if plugin else ""
    return ApiError(f"unsupported format '{form}'{where}")
