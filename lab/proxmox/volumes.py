"""Volumes: raw sparse files, named as Proxmox names them on a thin pool and in a directory.

A volume's identifier is STORAGE:NAME; both storages are local to a node.
"""

import re
from pathlib import Path

from lab.proxmox import faults, state
from lab.proxmox.errors import ApiError

FORMATS = ("raw", "qcow2", "vmdk")
DOWNLOADING = ".tmp_"  # in the names of what is not complete yet
OWNER = re.compile(r"(?:^|/)(?:vm|base)-(\d+)-")


def split(volid: str) -> tuple[str, str]:
    storage, separator, name = volid.partition(":")
    if not separator:
        raise ApiError(f"unable to parse volume ID '{volid}'")
    return storage, name


def storage_of(volid: str) -> str:
    return split(volid)[0]


def owner(volid: str) -> int | None:
    """The VMID that a volume's name gives it to."""
    found = OWNER.search(split(volid)[1])
    return int(found[1]) if found else None


def check_storage(name: str) -> dict:
    if name not in state.STORAGES:
        raise ApiError(f"storage '{name}' does not exist")
    return state.STORAGES[name]


def path(node: str, volid: str) -> Path:
    storage, name = split(volid)
    check_storage(storage)
    if ".." in name or name.startswith("/"):
        raise ApiError(f"unable to parse volume filename '{name}'", 400)
    return state.root() / "volumes" / node / storage / name


def content(volid: str) -> str:
    """What a volume is by its name: images, iso, snippets, import, vztmpl, backup."""
    storage, name = split(volid)
    if check_storage(storage)["type"] == "lvmthin":
        if not re.fullmatch(r"(vm|base)-\d+-\S+", name):
            raise ApiError(f"unable to parse lvm volume name '{name}'")
        return "images"
    kinds = {
        r"\d+/\S+": "images",
        r"iso/[^/]+\.(?i:iso|img)": "iso",
        r"snippets/[^/]+": "snippets",
        r"import/[^/]+\.(?:ova|ovf|qcow2|raw|vmdk)": "import",
        r"vztmpl/[^/]+\.tar\.(?:gz|xz|zst|bz2)": "vztmpl",
        r"backup/[^/]+": "backup",
    }
    for pattern, kind in kinds.items():
        if re.fullmatch(pattern, name):
            return kind
    raise ApiError(f"unable to parse directory volume name '{name}'")


def exists(node: str, volid: str) -> bool:
    return path(node, volid).is_file()


def size(node: str, volid: str) -> int:
    file = path(node, volid)
    if not file.is_file():
        storage, name = split(volid)
        if content(volid) != "images":
            raise ApiError(f"volume '{volid}' does not exist")
        shown = f"/dev/pve/{name}" if state.STORAGES[storage]["type"] == "lvmthin" else name
        raise ApiError(f"volume '{volid}' does not exist (no such file or device '{shown}')")
    return file.stat().st_size


def full_name(storage: str, vmid: int, name: str, kind: str = "raw") -> str:
    return name if state.STORAGES[storage]["type"] == "lvmthin" else f"{vmid}/{name}.{kind}"


def of_storage(node: str, storage: str) -> list[str]:
    """Identifiers of the volumes that a storage holds; a download that is under way is not one of them."""
    directory = state.root() / "volumes" / node / storage
    files = (p for p in directory.rglob("*") if p.is_file() and DOWNLOADING not in p.name)
    return sorted(f"{storage}:{p.relative_to(directory)}" for p in files)


def of_guest(node: str, vmid: int) -> list[str]:
    return [v for s in state.STORAGES for v in of_storage(node, s) if owner(v) == vmid]


def kind(volid: str) -> str:
    suffix = Path(split(volid)[1]).suffix
    return suffix[1:] if suffix[1:] in FORMATS else "raw"


def usage(node: str, storage: str) -> tuple[int, int]:
    """Bytes in use and in total."""
    total = check_storage(storage)["total"]
    if faults.storage_full(storage):
        return total, total
    used = sum(path(node, v).stat().st_blocks * 512 for v in of_storage(node, storage))
    return min(used, total), total
