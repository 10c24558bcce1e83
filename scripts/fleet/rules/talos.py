"""The rules for a machine of Talos, whose system has no users and no SSH, and takes some hardware badly."""

from collections.abc import Iterator

from fleet.findings import Finding, cut
from fleet.names import is_control_plane, is_talos
from fleet.vms.files import VM

LEAST, ENOUGH = 2048, 4096  # MiB; what a machine needs to start, and what a control plane needs to work

_WITHOUT = {
    "ciuser": "Talos has no users",
    "sshkeys": "Talos has no SSH",
    "cipassword": "Talos has no users",
    "cicustom": "Talos takes its configuration from its playbook",
}


def nothing_is_for_users(vm: VM) -> Iterator[Finding]:
    for field, why in _WITHOUT.items():
        if field in vm.data and is_talos(vm.name):
            yield vm.finding(field, f"{why}, so this would do nothing; remove it")


def hardware_suits(vm: VM) -> Iterator[Finding]:
    if not is_talos(vm.name):
        return
    if vm.data.get("scsihw") == "virtio-scsi-single":
        message = (
            "Talos hangs when it starts etcd on virtio-scsi-single; remove it, and virtio-scsi-pci is used"
        )
        yield vm.finding("scsihw", message)
    if type(vm.data.get("balloon")) is int and vm.data["balloon"] > 0:
        yield vm.finding("balloon", "Talos does not give memory back; remove it")
    memory = vm.data.get("memory")
    if type(memory) is not int:
        return
    if memory < LEAST:
        yield vm.finding(
            "memory", f"{memory} is less than Talos needs; give {LEAST}, a control plane {ENOUGH}"
        )
    elif memory < ENOUGH and is_control_plane(vm.name):
        message = f"{memory} is little for a control plane of Talos; {ENOUGH} is recommended"
        yield vm.finding("memory", message, "warning")


def nothing_is_mounted(vm: VM) -> Iterator[Finding]:
    disks = vm.data.get("disks")
    for slot, disk in disks.items() if isinstance(disks, dict) and is_talos(vm.name) else ():
        if isinstance(disk, dict) and "mount" in disk:
            message = (
                f"{cut(str(disk['mount']))} would be mounted over SSH, which Talos does not have; remove it, and add a"
                " UserVolumeConfig to talos_patches"
            )
            yield vm.finding(f"disks.{slot}.mount", message)


RULES = (nothing_is_for_users, hardware_suits, nothing_is_mounted)
