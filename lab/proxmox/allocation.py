"""New, copied, moved, grown and freed volumes."""

import subprocess
from pathlib import Path

from lab.proxmox import faults, state, volumes
from lab.proxmox.errors import ApiError
from lab.proxmox.volumes import FORMATS, check_storage, exists, full_name, of_storage, path, split, storage_of


def _check_space(storage: str, name: str) -> None:
    if faults.storage_full(storage):
        if state.STORAGES[storage]["type"] == "lvmthin":
            raise ApiError(
                f"lvcreate 'pve/{name}' error:   Cannot create new thin volume, "
                "free space in thin pool pve/data reached threshold."
            )
        raise ApiError(f"unable to create image '{name}': No space left on device")


def _free_name(node: str, storage: str, vmid: int, kind: str = "raw") -> str:
    taken = {Path(split(volid)[1]).stem for volid in of_storage(node, storage)}  # whatever their formats
    for number in range(1000):
        name = f"vm-{vmid}-disk-{number}"
        if not {name, name.replace("vm-", "base-")} & taken:
            return f"{storage}:" + full_name(storage, vmid, name, kind)
    raise ApiError(f"unable to allocate an image name for VM {vmid} in storage '{storage}'")


def allocate(node: str, storage: str, vmid: int, length: int, kind: str | None = None) -> str:
    """A new empty volume of `length` bytes; its identifier. Whatever its format is called, the file is raw."""
    kind, thin = kind or "raw", check_storage(storage)["type"] == "lvmthin"
    if thin and kind != "raw":
        raise ApiError(
            f"unsupported format '{kind}' at /usr/share/perl5/PVE/Storage/LvmThinPlugin.pm line 102."
        )
    if kind not in FORMATS:
        raise ApiError(f"unsupported format '{kind}'")
    with state.locked(f"pve-storage-{node}-{storage}"):
        volid = _free_name(node, storage, vmid, kind)
        _check_space(storage, f"vm-{vmid}-disk-0")
        file = path(node, volid)
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as stream:
            stream.truncate(length)
    return volid


def allocate_cloudinit(node: str, storage: str, vmid: int) -> str:
    """The small volume in place of the cloud-init drive."""
    check_storage(storage)
    volid = f"{storage}:" + full_name(storage, vmid, f"vm-{vmid}-cloudinit", "qcow2")
    _check_space(storage, f"vm-{vmid}-cloudinit")
    file = path(node, volid)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as stream:
        stream.truncate(4 << 20)
    return volid


def copy(
    node: str, source: str, target_node: str, storage: str, vmid: int, linked: bool = False, kind: str = ""
) -> str:
    """Copy a volume into a new one of `vmid`; its identifier. Only what is allocated is copied."""
    thin = check_storage(storage)["type"] == "lvmthin"
    kind = "raw" if thin else kind or volumes.kind(source)
    if linked and ("base-" not in source or state.STORAGES[storage]["type"] != "lvmthin"):
        raise ApiError("Linked clone feature is not supported for this drive")
    with state.locked(f"pve-storage-{target_node}-{storage}"):
        _check_space(storage, f"vm-{vmid}-disk-0")
        # On LVM thin a linked clone has a name like any other; here it is a sparse copy as well.
        volid = _free_name(target_node, storage, vmid, kind)
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
