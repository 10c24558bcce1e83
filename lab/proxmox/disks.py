"""A running machine's disks: each volume behind a loop device that ends with the machine's process.

The machine sees scsiN as /dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_drive-scsiN, a link to its loop device.
It has no udev, so a service of its image (lab/template/files/machine-disks) makes the links from the
list that is written here, at boot and whenever the list changes.
"""

import fcntl
import os
import struct
import subprocess
import sys
from pathlib import Path

from lab.proxmox import config, guests, volumes
from lab.proxmox.errors import ApiError

LOOP_CTL_GET_FREE, LOOP_CONFIGURE, LOOP_SET_CAPACITY = 0x4C82, 0x4C0A, 0x4C07
AUTOCLEAR = 4
HELPER = "/usr/local/sbin/machine-disks"


def attach(path: Path) -> tuple[str, int]:
    """A loop device over a file and an open handle of it; the kernel frees it with its last user."""
    file = os.open(path, os.O_RDWR)
    control = os.open("/dev/loop-control", os.O_RDWR)
    try:
        for _ in range(50):
            number = fcntl.ioctl(control, LOOP_CTL_GET_FREE)
            name = f"/dev/loop{number}"
            device = os.open(name, os.O_RDWR)
            # struct loop_config: fd, block size, loop_info64 (flags at 52, file name at 56)
            info = struct.pack("=52xI64s112x", AUTOCLEAR, str(path).encode()[-63:])
            try:
                fcntl.ioctl(device, LOOP_CONFIGURE, struct.pack("=II", file, 0) + info + bytes(64))
                return name, device
            except OSError:  # another process took it in between
                os.close(device)
        raise ApiError("no free loop device")
    finally:
        os.close(control)
        os.close(file)


class Disks:
    def __init__(self, vmid: int, directory: Path):
        self.vmid, self.root, self.guest_directory = vmid, directory / "root", directory / "guest"
        self.attached: dict[str, tuple[str, str, int]] = {}  # slot: volume, device, handle

    def devices(self) -> list[str]:
        return [device for _, device, _ in self.attached.values()]

    def sync(self, guest: guests.Guest, leader: int | None) -> None:
        """Attach, detach and grow until all is as configured; in a running machine (`leader`) as well."""
        wanted = {slot: drive["file"] for slot, drive in config.hard_disks(guest.config).items()}
        for slot in [s for s, (volid, *_) in self.attached.items() if wanted.get(s) != volid]:
            _, device, handle = self.attached.pop(slot)
            if leader:
                _in_machine(leader, "rm", "-f", device)
            os.close(handle)
        for slot, volid in wanted.items():
            if slot in self.attached:
                fcntl.ioctl(self.attached[slot][2], LOOP_SET_CAPACITY)
                continue
            device, handle = attach(volumes.path(guest.node, volid))
            self.attached[slot] = (volid, device, handle)
            if leader:
                _in_machine(leader, "mknod", "-m", "660", device, "b", "7", device.removeprefix("/dev/loop"))
        self.guest_directory.mkdir(parents=True, exist_ok=True)
        lines = [f"{slot} {device}\n" for slot, (_, device, _) in sorted(self.attached.items())]
        (self.guest_directory / "disks").write_text("".join(lines))
        if leader:
            _in_machine(leader, HELPER)

    def mount_root(self, guest: guests.Guest) -> Path:
        """Mount the boot disk, grown to its size as a cloud image's first boot does it."""
        slot = boot_slot(guest.config)
        if slot not in self.attached:
            raise ApiError("No bootable device.")
        device = self.attached[slot][1]
        self.root.mkdir(parents=True, exist_ok=True)
        # The image has no journal; this returns at once unless the host itself went down.
        grow = _file_system_size(device) < os.lseek(self.attached[slot][2], 0, os.SEEK_END)
        subprocess.run(["e2fsck", "-p", *(["-f"] if grow else []), device], capture_output=True)
        if (
            grow
        ):  # before it is mounted: afterwards the kernel wants CAP_SYS_RESOURCE, which not every root has
            subprocess.run(["resize2fs", device], capture_output=True)
        # noinit_itable: the kernel would otherwise write the inode tables of a grown, empty disk.
        mounted = subprocess.run(
            ["mount", "-t", "ext4", "-o", "noatime,noinit_itable", device, str(self.root)],
            capture_output=True,
            text=True,
        )
        if mounted.returncode:
            raise ApiError(f"No bootable device: {mounted.stderr.strip()}")
        return self.root


def boot_slot(options: dict) -> str:
    order = options.get("boot", "").removeprefix("order=").split(";")
    disks = config.hard_disks(options)
    return next((slot for slot in order if slot in disks), min(disks, default=""))


def _file_system_size(device: str) -> int:
    """Bytes that an ext4 file system spans, from its superblock; anything else counts as grown already."""
    with Path(device).open("rb") as stream:
        block = stream.read(2048)[1024:]
    blocks, size, magic = struct.unpack_from("<I", block, 4)[0], block[24], block[56:58]
    return blocks * (1024 << size) if magic == b"\x53\xef" else sys.maxsize


def _in_machine(leader: int, *command: str) -> None:
    subprocess.run(
        ["nsenter", f"--target={leader}", "--mount", "--", *command], capture_output=True, timeout=20
    )
