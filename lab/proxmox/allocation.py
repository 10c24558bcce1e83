"""New, copied, converted, moved, grown and freed volumes."""

import re
import subprocess
from pathlib import Path

from lab.proxmox import faults, qemu_img, storages, volumes
from lab.proxmox.errors import ApiError
from lab.proxmox.volumes import exists, full_name, of_storage, parse, path, split, storage_of


def _make(node: str, storage: str, name: str, length: int) -> str:
    """An empty volume of that name; its identifier. The storage is locked by the caller."""
    volid = f"{storage}:{name}"
    if faults.storage_full(storage):
        raise storages.full(storage, parse(volid).own.rpartition("/")[2], length)
    file = path(node, volid)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as stream:
        stream.truncate(storages.rounded(storage, length))
    return volid


def _free_name(node: str, storage: str, vmid: int, kind: str = "raw") -> str:
    taken = {Path(parse(volid).own).stem for volid in of_storage(node, storage)}  # whatever their formats
    for number in range(1000):
        name = f"vm-{vmid}-disk-{number}"
        if not {name, name.replace("vm-", "base-")} & taken:
            return full_name(storage, vmid, name, kind)
    raise ApiError(f"unable to allocate an image name for VM {vmid} in storage '{storage}'")


def allocate(node: str, storage: str, vmid: int, length: int, kind: str | None = None) -> str:
    """A new empty volume of `length` bytes; its identifier. Whatever its format is called, the file is raw."""
    formats = storages.kind(storage).formats
    kind = kind or formats[0]
    if kind not in formats:
        raise storages.unsupported(storage, kind)
    with volumes.lock(node, storage):
        return _make(node, storage, _free_name(node, storage, vmid, kind), length)


def allocate_cloudinit(node: str, storage: str, vmid: int) -> str:
    """The small volume in place of the cloud-init drive."""
    return _make(node, storage, full_name(storage, vmid, f"vm-{vmid}-cloudinit", "qcow2"), 4 << 20)


def copy(
    node: str, source: str, target_node: str, storage: str, vmid: int, kind: str = "", length: int = 0
) -> str:
    """Copy a volume into a new one of `vmid`, of `length` bytes if that is given; its identifier."""
    size, hint = length or volumes.size(node, source), kind or volumes.kind(source)
    fitting = storages.fitting(storage, hint)
    if kind and kind != fitting:
        print(
            f"format '{kind}' is not supported by the target storage '{storage}' - using '{fitting}' instead"
        )
    volid = allocate(target_node, storage, vmid, size, fitting)
    print(f"allocated target volume '{volid}'", flush=True)
    if length:  # UEFI variables, of which a storage may hold more than there are
        with path(node, source).open("rb") as old, path(target_node, volid).open("r+b") as new:
            new.write(old.read(length))
    else:
        convert(path(node, source), "raw", target_node, volid, size)
    return volid


def convert(source: Path, kind: str, node: str, volid: str, size: int) -> None:
    """Copy an image of `size` bytes into a volume; what cannot be copied whole is freed."""
    try:
        qemu_img.convert(source, kind, path(node, volid), size, storage_of(volid))
    except ApiError:
        free(node, volid)
        raise


def link(node: str, source: str, vmid: int) -> str:
    """A linked clone of a base volume; its identifier. It is a sparse copy here, named as a linked clone is."""
    storage, base = storage_of(source), parse(source)
    if not base.is_base:
        raise ApiError("clone_image only works on base images")
    with volumes.lock(node, storage):
        name = _free_name(node, storage, vmid, "qcow2")
        tracked = f"{base.own}/{name}" if storages.kind(storage).tracked else name
        volid = _make(node, storage, tracked, 0)
    copy_file(path(node, source), path(node, volid))
    return volid


def to_base(node: str, volid: str) -> str:
    """Make a volume a base volume where its storage has any; its identifier then."""
    known = parse(volid)
    if known.is_base or not storages.kind(storage_of(volid)).bases:
        return volid
    base = re.sub(r"([:/])vm-([^/]*)$", r"\1base-\2", volid)
    if exists(node, base):
        raise ApiError(f"file '{path(node, base)}' already exists")
    volumes.size(node, volid)  # its error names a missing volume
    path(node, volid).rename(path(node, base))
    return base


def move(node: str, volid: str, target: str, vmid: int) -> str:
    """Give a volume to another node, under its own name or the next free one; its identifier there."""
    storage = storage_of(volid)
    if storages.shared(storage):
        return volid
    if base := parse(volid).base:
        raise ApiError(f"can't migrate '{volid}' as it's a clone of '{base.rpartition('/')[2]}'")
    with volumes.lock(target, storage):
        if faults.storage_full(storage):
            raise storages.full(storage, split(volid)[1], volumes.size(node, volid))
        there = f"{storage}:{_free_name(target, storage, vmid)}" if exists(target, volid) else volid
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
        stream.truncate(storages.rounded(storage_of(volid), length))


def used_as_base(node: str, volid: str) -> bool:
    """Whether a base volume has linked clones that its storage knows of."""
    storage, known = storage_of(volid), parse(volid)
    return known.is_base and any(parse(other).base == known.own for other in of_storage(node, storage))


def free(node: str, volid: str) -> None:
    """Remove a volume; not one that linked clones need."""
    with volumes.lock(node, storage_of(volid)):
        if used_as_base(node, volid):
            raise ApiError(f"base volume '{split(volid)[1]}' is still in use by linked clones")
        path(node, volid).unlink(missing_ok=True)
