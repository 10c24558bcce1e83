"""Volumes: raw sparse files, named as Proxmox names them on a thin pool and in a directory.

A volume's identifier is STORAGE:NAME; both storages are local to a node.
"""

import re
import subprocess
from pathlib import Path

from lab.proxmox import faults, state
from lab.proxmox.errors import ApiError

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


def exists(node: str, volid: str) -> bool:
    return path(node, volid).is_file()


def size(node: str, volid: str) -> int:
    file = path(node, volid)
    if not file.is_file():
        storage, name = split(volid)
        shown = f"/dev/pve/{name}" if state.STORAGES[storage]["type"] == "lvmthin" else name
        raise ApiError(f"volume '{volid}' does not exist (no such file or device '{shown}')")
    return file.stat().st_size


def full_name(storage: str, vmid: int, name: str, kind: str = "raw") -> str:
    return name if state.STORAGES[storage]["type"] == "lvmthin" else f"{vmid}/{name}.{kind}"


def _check_space(storage: str, name: str) -> None:
    if faults.storage_full(storage):
        if state.STORAGES[storage]["type"] == "lvmthin":
            raise ApiError(
                f"lvcreate 'pve/{name}' error:   Cannot create new thin volume, "
                "free space in thin pool pve/data reached threshold."
            )
        raise ApiError(f"unable to create image '{name}': No space left on device")


def _free_name(node: str, storage: str, vmid: int) -> str:
    for number in range(1000):
        volid = f"{storage}:" + full_name(storage, vmid, f"vm-{vmid}-disk-{number}")
        if not exists(node, volid):
            return volid
    raise ApiError(f"unable to allocate an image name for VM {vmid} in storage '{storage}'")


def allocate(node: str, storage: str, vmid: int, length: int) -> str:
    """A new empty volume of `length` bytes; its identifier."""
    check_storage(storage)
    with state.locked(f"pve-storage-{node}-{storage}"):
        volid = _free_name(node, storage, vmid)
        _check_space(storage, f"vm-{vmid}-disk-0")
        file = path(node, volid)
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as stream:
            stream.truncate(length)
    return volid


def allocate_cloudinit(node: str, storage: str, vmid: int) -> str:
    """The small volume that stands for the cloud-init drive."""
    check_storage(storage)
    volid = f"{storage}:" + full_name(storage, vmid, f"vm-{vmid}-cloudinit", "qcow2")
    _check_space(storage, f"vm-{vmid}-cloudinit")
    file = path(node, volid)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as stream:
        stream.truncate(4 << 20)
    return volid


def copy(node: str, source: str, target_node: str, storage: str, vmid: int, linked: bool = False) -> str:
    """Copy a volume into a new one of `vmid`; its identifier. Only what is allocated is copied."""
    check_storage(storage)
    if linked and ("base-" not in source or state.STORAGES[storage]["type"] != "lvmthin"):
        raise ApiError("Linked clone feature is not supported for this drive")
    with state.locked(f"pve-storage-{target_node}-{storage}"):
        _check_space(storage, f"vm-{vmid}-disk-0")
        # On LVM thin a linked clone has a name like any other; here it is a sparse copy as well.
        volid = _free_name(target_node, storage, vmid)
        file = path(target_node, volid)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    copy_file(path(node, source), file)
    return volid


def move(node: str, volid: str, target: str, vmid: int) -> str:
    """Give a volume to another node, under its own name or the next free one; its identifier there."""
    storage = storage_of(volid)
    with state.locked(f"pve-storage-{target}-{storage}"):
        _check_space(storage, split(volid)[1])
        there = _free_name(target, storage, vmid) if exists(target, volid) else volid
        file = path(target, there)
        file.parent.mkdir(parents=True, exist_ok=True)
        path(node, volid).rename(file)
    return there


def copy_file(source: Path, target: Path) -> None:
    done = subprocess.run(
        ["cp", "--sparse=always", "--reflink=auto", str(source), str(target)], capture_output=True, text=True
    )
    if done.returncode:
        target.unlink(missing_ok=True)
        raise ApiError(f"copy failed: {done.stderr.strip()}")


def resize(node: str, volid: str, length: int) -> None:
    with path(node, volid).open("r+b") as stream:
        stream.truncate(length)


def free(node: str, volid: str) -> None:
    path(node, volid).unlink(missing_ok=True)


def of_storage(node: str, storage: str) -> list[str]:
    """Identifiers of the volumes that a storage holds."""
    directory = state.root() / "volumes" / node / storage
    return sorted(f"{storage}:{p.relative_to(directory)}" for p in directory.rglob("*") if p.is_file())


def of_guest(node: str, vmid: int) -> list[str]:
    return [v for s in state.STORAGES for v in of_storage(node, s) if owner(v) == vmid]


def kind(volid: str) -> str:
    suffix = Path(split(volid)[1]).suffix
    return suffix[1:] if suffix in (".raw", ".qcow2") else "raw"


def usage(node: str, storage: str) -> tuple[int, int]:
    """Bytes in use and in total."""
    total = check_storage(storage)["total"]
    if faults.storage_full(storage):
        return total, total
    used = sum(path(node, v).stat().st_blocks * 512 for v in of_storage(node, storage))
    return min(used, total), total
