"""The rules for a machine's CPUs and disks that a schema cannot express."""

import re
from collections.abc import Iterator

from fleet.findings import Finding, cut
from fleet.names import is_talos
from fleet.vms import values
from fleet.vms.files import VM
from fleet.vms.hardware import NONE
from fleet.vms.machine import TALOS

MAX_GIB = 128 * 1024
MAX_CPUS = 2304  # cores of all sockets; the limit of the provider and of QEMU

# An empty file system mounted over one of these would hide what the machine, or the login, needs.
_SYSTEM = ("bin", "boot", "dev", "etc", "home", "lib", "lib32", "lib64", "proc", "root", "run", "sbin", "sys")
SYSTEM_FOLDERS = frozenset(f"/{name}" for name in (*_SYSTEM, "tmp", "usr", "var"))
NEVER_BELOW = ("/dev/", "/proc/", "/sys/", "/run/", "/boot/", "/etc/")


def cpus_are_possible(vm: VM) -> Iterator[Finding]:
    cores, sockets = vm.data.get("cores"), vm.data.get("sockets", 1)
    if type(cores) is int and type(sockets) is int and cores * sockets > MAX_CPUS:
        message = f"{cores} on {sockets} sockets make {cores * sockets} CPUs; the limit is {MAX_CPUS}"
        yield vm.finding("cores", message)


def disks_are_possible(vm: VM) -> Iterator[Finding]:
    disks = vm.data.get("disks")
    of_no_template = "image" if "image" in vm.data else "clone" if vm.data.get("clone") == NONE else ""
    if disks is None and of_no_template:
        said = f"{of_no_template} is {cut(str(vm.data[of_no_template]))}"
        yield vm.finding("disks", f"are missing, and {said}; add one, as disks: {{scsi0: {{size: 32G}}}}")
    if not isinstance(disks, dict):
        return
    slots = [slot for slot in disks if re.fullmatch(r"(scsi|virtio|sata)[0-9]+", slot)]
    if slots and not _system_disk(vm):
        source = "image" if "image" in vm.data else "template"
        message = (
            f"there is no scsi0, virtio0 or sata0, one of which is the {source}'s disk and holds the system; add it"
            " with its size, or name the disk with the system in `boot`"
        )
        yield vm.finding("disks", message)
    for slot, disk in disks.items():
        size = disk.get("size") if isinstance(disk, dict) else None
        if gib := values.gib(size):
            if gib > MAX_GIB:
                yield vm.finding(f"disks.{slot}.size", f"is {size}; the limit is 128T")
        elif isinstance(size, str) and (
            written := re.fullmatch(r"([1-9]\d{0,8}) ?([MGT])(i?B)?", size, re.IGNORECASE)
        ):
            number, unit = int(written[1]), written[2].upper()
            meant = f"{-(-number // 1024)}G" if unit == "M" else f"{number}{unit}"
            yield vm.finding(f"disks.{slot}.size", f"{size} is not a whole number of G or T; write {meant}")
        elif isinstance(size, int) and not isinstance(size, bool):
            message = f"{size} has no unit; write {max(size, 1)}G"
            yield vm.finding(f"disks.{slot}.size", message)


def _system_disk(vm: VM) -> str | None:
    """The slot of the disk that holds the operating system; None where no listed disk can be it."""
    disks = vm.data.get("disks")
    listed = list(disks) if isinstance(disks, dict) else list(values.SYSTEM_DISKS)
    booted = next((slot for slot in values.boot_devices(vm.data.get("boot")) if slot in listed), None)
    return booted or values.system_disk(listed)


def disk_options_are_possible(vm: VM) -> Iterator[Finding]:
    disks, usual = vm.data.get("disks"), TALOS["scsihw"] if is_talos(vm.name) else "virtio-scsi-single"
    scsihw = vm.data.get("scsihw", usual)
    for slot, disk in disks.items() if isinstance(disks, dict) else ():
        given = disk if isinstance(disk, dict) else {}
        if given.get("ssd") is True and slot.startswith("virtio"):
            yield vm.finding(f"disks.{slot}.ssd", "a VirtIO disk cannot look like an SSD; remove it")
        if given.get("iothread") is True and not values.disk_defaults(slot, str(scsihw))["iothread"]:
            message = "needs a VirtIO disk, or a SCSI disk with scsihw: virtio-scsi-single; remove it"
            yield vm.finding(f"disks.{slot}.iothread", message)


def mounts_are_possible(vm: VM) -> Iterator[Finding]:
    disks = vm.data.get("disks")
    if not isinstance(disks, dict):
        return
    seen: dict[str, str] = {}
    system = _system_disk(vm)
    for slot, disk in disks.items():
        mount = disk.get("mount") if isinstance(disk, dict) else None
        if not isinstance(mount, str):
            continue
        where = f"disks.{slot}.mount"
        path = "/" + "/".join(part for part in mount.split("/") if part)
        if slot == system:
            message = f"{slot} holds the system and cannot be mounted on {cut(mount)}; add a disk scsi1"
            yield vm.finding(where, message)
        elif not slot.startswith("scsi"):
            message = f"Ansible finds a disk by its SCSI slot, so {slot} cannot be mounted; use a disk scsi1"
            yield vm.finding(where, message)
        if not mount:
            continue  # the schema reports it
        if not mount.startswith("/"):
            message = f"{cut(mount)} is not an absolute path; did you mean {cut(path)}?"
            yield vm.finding(where, message)
        elif path == "/" or path in SYSTEM_FOLDERS or path.startswith(NEVER_BELOW):
            message = (
                f"{cut(path)} would hide files that the system needs; choose a path such as /mnt/storage"
            )
            yield vm.finding(where, message)
        if path in seen:
            line = vm.lines.get(f"disks.{seen[path]}.mount", (0, 0))[0]
            message = f"{seen[path]} (line {line}) is mounted on {cut(path)} too; change one of the two"
            yield vm.finding(where, message)
        seen.setdefault(path, slot)
    for path, slot in seen.items():
        for inner, other in seen.items():
            if inner.startswith(f"{path}/") and values.slot_order(other) < values.slot_order(slot):
                message = f"{path} would hide {other}, which is mounted on {inner}; swap the two disks"
                yield vm.finding(f"disks.{slot}.mount", message)


def boot_devices_exist(vm: VM) -> Iterator[Finding]:
    disks, devices = vm.data.get("disks"), values.boot_devices(vm.data.get("boot"))
    there = {"net0", *vm.data, *(disks if isinstance(disks, dict) else values.SYSTEM_DISKS)}
    for field in ("cdrom", "cloudinit"):
        drive = vm.data.get(field)
        there |= {str(drive.get("slot"))} if isinstance(drive, dict) else set()
    for device in devices:
        # Each machine may have a CD drive at an IDE slot that no file says.
        if re.fullmatch(r"(scsi|virtio|sata|net|hostpci|usb)[0-9]{1,2}", device) and device not in there:
            yield vm.finding("boot", f"names {device}, which the machine does not have")
    if len(set(devices)) < len(devices):
        yield vm.finding("boot", "names a device twice; keep one of them")


RULES = (
    cpus_are_possible,
    disks_are_possible,
    disk_options_are_possible,
    mounts_are_possible,
    boot_devices_exist,
)
