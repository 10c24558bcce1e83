"""Volumes: raw sparse files, named as Proxmox names them on each type of storage.

A volume's identifier is STORAGE:NAME. A linked clone's name begins with its base volume's wherever Proxmox
tracks it; its file is then called NAME@BASE, with + for each slash of the base volume's name.
"""

import re
from pathlib import Path
from typing import NamedTuple

from lab.proxmox import faults, qemu_img, state, storages
from lab.proxmox.errors import ApiError
from lab.proxmox.storages import check as check_storage

FORMATS = ("raw", "qcow2", "vmdk")
DOWNLOADING = ".tmp_"  # in the names of what is not complete yet
_CONTENTS = {
    r"iso/[^/]+\.(?i:iso|img)": "iso",
    r"snippets/[^/]+": "snippets",
    r"import/[^/]+\.(?:ova|ovf|qcow2|raw|vmdk)": "import",
    r"vztmpl/[^/]+\.tar\.(?:gz|xz|zst|bz2)": "vztmpl",
    r"backup/[^/]+": "backup",
}
_IMAGES = {
    "lvmthin": r"()((?:vm|base)-(\d+)-[^\s/]+)",
    "lvm": r"()(vm-(\d+)-[^\s/]+)",
    "zfspool": r"(?:(base-\d+-[^\s/]+)/)?((?:vm|base)-(\d+)-[^\s/]+)",
}
_FILES = r"(?:(\d+/[^\s/]+)/)?((\d+)/[^\s/]+)"


class Name(NamedTuple):
    """What a volume's name tells."""

    content: str
    own: str  # without the base volume's name
    owner: int | None = None
    base: str = ""  # the name of the volume of which it is a linked clone

    @property
    def is_base(self) -> bool:
        return self.content == "images" and self.own.rpartition("/")[2].startswith("base-")


def split(volid: str) -> tuple[str, str]:
    storage, separator, name = volid.partition(":")
    if not separator:
        raise ApiError(f"unable to parse volume ID '{volid}'")
    return storage, name


def storage_of(volid: str) -> str:
    return split(volid)[0]


def parse(volid: str) -> Name:
    storage, name = split(volid)
    about = storages.kind(storage)
    pattern = _FILES if about.files else _IMAGES[check_storage(storage)["type"]]
    if found := re.fullmatch(pattern, name):
        if about.files and not re.search(r"\.(raw|qcow2|vmdk|subvol)$", name):
            raise ApiError(f"unable to parse volume filename '{name.rpartition('/')[2]}'")
        return Name("images", found[2], int(found[3]), found[1] or "")
    for pattern, content in _CONTENTS.items() if about.files else ():
        if re.fullmatch(pattern, name):
            return Name(content, name)
    raise ApiError(about.unnamed.format(name))


def owner(volid: str) -> int | None:
    """The VMID that a volume's name gives it to."""
    return parse(volid).owner


def content(volid: str) -> str:
    """What a volume is by its name: images, iso, snippets, import, vztmpl, backup."""
    return parse(volid).content


def folder(node: str, storage: str) -> Path:
    check_storage(storage)
    return state.root() / "volumes" / ("shared" if storages.shared(storage) else node) / storage


def lock(node: str, storage: str):
    return state.locked(f"pve-storage-{'shared' if storages.shared(storage) else node}-{storage}")


def path(node: str, volid: str) -> Path:
    storage, name = split(volid)
    directory = folder(node, storage)
    if ".." in name or name.startswith("/"):
        raise ApiError(f"unable to parse volume filename '{name}'", 400)
    known = parse(volid)
    return directory / (f"{known.own}@{known.base.replace('/', '+')}" if known.base else name)


def exists(node: str, volid: str) -> bool:
    return path(node, volid).is_file()


def size(node: str, volid: str) -> int:
    """The bytes that a machine sees."""
    file = path(node, volid)
    if not file.is_file():
        storage, name = split(volid)
        if content(volid) != "images":
            raise ApiError(f"volume '{volid}' does not exist")
        about = storages.kind(storage)
        shown = name if about.files else about.device.format(parse(volid).own)
        raise ApiError(f"volume '{volid}' does not exist (no such file or device '{shown}')")
    if content(volid) == "import" and kind(volid) in FORMATS:
        return qemu_img.info(file, kind(volid)).size
    return file.stat().st_size


def full_name(storage: str, vmid: int, name: str, kind: str = "raw") -> str:
    return f"{vmid}/{name}.{kind}" if storages.kind(storage).files else name


def of_storage(node: str, storage: str) -> list[str]:
    """Identifiers of the volumes that a storage holds; a download that is under way is not one of them."""
    directory, found = folder(node, storage), []
    for file in directory.rglob("*"):
        name = str(file.relative_to(directory))
        if linked := re.fullmatch(r"(.*vm-\d+-[^@]+|.*base-\d+-[^@]+)@(.*base-.*)", name):
            name = f"{linked[2].replace('+', '/')}/{linked[1]}"
        if file.is_file() and DOWNLOADING not in name:
            found.append(f"{storage}:{name}")
    return sorted(found)


def of_guest(node: str, vmid: int) -> list[str]:
    return [v for s in state.STORAGES for v in of_storage(node, s) if owner(v) == vmid]


def kind(volid: str) -> str:
    """A volume's format by its name; the images of all formats are raw files here."""
    suffix = Path(split(volid)[1]).suffix
    return suffix[1:] if suffix[1:] in FORMATS else "raw"


def usage(node: str, storage: str) -> tuple[int, int]:
    """Bytes in use and in total."""
    total = check_storage(storage)["total"]
    if faults.storage_full(storage):
        return total, total
    used = sum(path(node, v).stat().st_blocks * 512 for v in of_storage(node, storage))
    return min(used, total), total
