"""The rules for a machine's CPUs, disks and network card that a schema cannot say."""

import re
from collections.abc import Iterator

from fleet.findings import Finding, cut
from fleet.vms.files import VM

MAX_GIB = 128 * 1024
MAX_CPUS = 2304  # cores of all sockets that the provider and QEMU take

# An empty file system mounted over one of these would hide what the machine, or the login, needs.
_SYSTEM = ("bin", "boot", "dev", "etc", "home", "lib", "lib32", "lib64", "proc", "root", "run", "sbin", "sys")
SYSTEM_FOLDERS = frozenset(f"/{name}" for name in (*_SYSTEM, "tmp", "usr", "var"))
NEVER_BELOW = ("/dev/", "/proc/", "/sys/", "/run/", "/boot/", "/etc/")


def cpus_are_possible(vm: VM) -> Iterator[Finding]:
    cores, sockets = vm.data.get("cores"), vm.data.get("sockets", 1)
    if type(cores) is int and type(sockets) is int and cores * sockets > MAX_CPUS:
        message = (
            f"{cores} cores on {sockets} sockets are {cores * sockets} CPUs, and {MAX_CPUS} are the most"
        )
        yield vm.finding("cores", message)


def disks_are_contiguous(vm: VM) -> Iterator[Finding]:
    disks = vm.data.get("disks")
    if not isinstance(disks, dict):
        return
    slots = sorted(int(slot[4:]) for slot in disks if re.fullmatch(r"scsi([0-9]|[12][0-9]|30)", slot))
    for expected, slot in enumerate(slots):
        if slot != expected:
            missing = f"scsi{expected}" + (f" to scsi{slot - 1}" if slot - 1 > expected else "")
            if expected == 0:
                reason = "scsi0 is the template's disk, which holds the system"
            else:
                reason = "a disk put into the gap later would be attached twice"
            yield vm.finding(
                f"disks.scsi{slot}", f"disk scsi{slot} stands without {missing}: {reason}; leave no gap"
            )
            break
    for slot, disk in disks.items():
        size = disk.get("size") if isinstance(disk, dict) else None
        if isinstance(size, str) and (match := re.fullmatch(r"([1-9][0-9]{0,5})([GT])", size)):
            if int(match[1]) * (1024 if match[2] == "T" else 1) > MAX_GIB:
                yield vm.finding(f"disks.{slot}.size", f"{slot} has {size}, and 128T are the most")
        elif isinstance(size, int) and not isinstance(size, bool):
            message = f"{slot} has size {size}, of which nobody knows the unit; write {max(size, 1)}G"
            yield vm.finding(f"disks.{slot}.size", message)


def mounts_are_possible(vm: VM) -> Iterator[Finding]:
    disks = vm.data.get("disks")
    if not isinstance(disks, dict):
        return
    seen: dict[str, str] = {}
    for slot, disk in disks.items():
        mount = disk.get("mount") if isinstance(disk, dict) else None
        if not isinstance(mount, str):
            continue
        where = f"disks.{slot}.mount"
        path = "/" + "/".join(part for part in mount.split("/") if part)
        if slot == "scsi0":
            yield vm.finding(
                where, f"scsi0 holds the system and cannot be mounted on {cut(mount)}; add scsi1"
            )
        if not mount:
            continue  # the schema says so
        if not mount.startswith("/"):
            message = f"mount {cut(mount)} of {slot} is not absolute; did you mean {cut(path)}?"
            yield vm.finding(where, message)
        elif path == "/" or path in SYSTEM_FOLDERS or path.startswith(NEVER_BELOW):
            message = f"mount {cut(path)} of {slot} would hide what the system needs; take /mnt/…"
            yield vm.finding(where, message)
        if path in seen:
            line = vm.lines.get(f"disks.{seen[path]}.mount", (0, 0))[0]
            message = f"{slot} is mounted on {cut(path)}, and so is {seen[path]} in line {line}; change one"
            yield vm.finding(where, message)
        seen.setdefault(path, slot)
    for path, slot in seen.items():
        for inner, other in seen.items():
            if inner.startswith(f"{path}/") and _slot(other) < _slot(slot):
                message = f"{slot} on {path} would hide {other} on {inner}; swap the two"
                yield vm.finding(f"disks.{slot}.mount", message)


def _slot(name: str) -> int:
    return int(re.sub(r"[^0-9]", "", name)[:3] or 0)


def network_fits(vm: VM) -> Iterator[Finding]:
    network = vm.data.get("network")
    if not isinstance(network, dict):
        return
    model = network.get("model", "virtio")
    if "mtu" in network and isinstance(model, str) and model != "virtio":
        yield vm.finding("network.mtu", f"mtu is only for the model virtio, not {cut(model)}; remove it")
    mac = network.get("macaddr")
    if isinstance(mac, str) and re.fullmatch(r"[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}", mac):
        first, colons = int(mac[:2], 16), mac.replace("-", ":")
        if mac != colons:
            yield vm.finding("network.macaddr", f"macaddr {mac}: write it with colons, {colons}")
        if first & 1:
            message = (
                f"macaddr {mac} is a multicast address; one like {first & 0xFE:02X}{colons[2:]} is a card's"
            )
            yield vm.finding("network.macaddr", message)
        elif not any(int(part, 16) for part in colons.split(":")):
            yield vm.finding("network.macaddr", f"macaddr {mac} is no card's; remove it to have one made")


def boot_devices_exist(vm: VM) -> Iterator[Finding]:
    boot, disks = vm.data.get("boot"), vm.data.get("disks")
    if not isinstance(boot, str) or not boot.startswith("order="):
        return
    devices = boot.removeprefix("order=").split(";")
    there = ["net0", *(disks if isinstance(disks, dict) else ["scsi0"])]
    for device in devices:
        if re.fullmatch(r"scsi[0-9]{1,2}", device) and device not in there:
            yield vm.finding("boot", f"boot names {device}, which the machine does not have")
    if len(set(devices)) < len(devices):
        yield vm.finding("boot", "boot names a device twice; keep one of them")


RULES = (
    cpus_are_possible,
    disks_are_contiguous,
    mounts_are_possible,
    network_fits,
    boot_devices_exist,
)
