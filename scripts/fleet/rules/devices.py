"""The rules for a machine's firmware, devices and drives that a schema cannot express."""

from collections.abc import Callable, Iterator

from fleet.findings import Finding
from fleet.vms import hardware
from fleet.vms.files import VM


def memory_fits(vm: VM) -> Iterator[Finding]:
    balloon, memory = vm.data.get("balloon"), vm.data.get("memory")
    if type(balloon) is int and type(memory) is int and balloon > memory:
        yield vm.finding("balloon", f"{balloon} is more than memory ({memory}); the machine cannot keep more")
    vcpus, cores, sockets = (vm.data.get(key, 1) for key in ("vcpus", "cores", "sockets"))
    if (
        "vcpus" in vm.data
        and all(type(value) is int for value in (vcpus, cores, sockets))
        and vcpus > cores * sockets
    ):
        message = f"{vcpus} is more than the machine's {cores * sockets} CPUs (cores times sockets)"
        yield vm.finding("vcpus", message)
    hotplug = str(vm.data.get("hotplug", "")).split(",")
    if "memory" in hotplug and vm.data.get("numa") is not True:
        yield vm.finding("hotplug", "memory needs `numa: true`; add it, or remove memory")


def firmware_fits(vm: VM) -> Iterator[Finding]:
    if "efidisk" in vm.data and vm.data.get("bios") == "seabios":
        yield vm.finding("efidisk", "is for `bios: ovmf`; set that, or remove efidisk")
    if vm.data.get("bios") == "ovmf" and "efidisk" not in vm.data:
        message = (
            "without efidisk, UEFI forgets its settings at each stop; add `efidisk: {storage: local-lvm}`"
        )
        yield vm.finding("bios", message, "warning")
    efidisk = vm.data.get("efidisk")
    if (
        isinstance(efidisk, dict)
        and efidisk.get("efitype") == "2m"
        and efidisk.get("pre_enrolled_keys") is True
    ):
        yield vm.finding("efidisk.pre_enrolled_keys", "needs `efitype: 4m`")


def devices_fit(vm: VM) -> Iterator[Finding]:
    machine = str(vm.data.get("machine", ""))
    mappings: dict[tuple[str, str], str] = {}
    for kind in ("hostpci", "usb", "virtiofs"):
        for slot in hardware.slots(kind, vm.data):
            device = vm.data[slot]
            if not isinstance(device, dict):
                continue
            if kind == "hostpci" and device.get("pcie") is True and "q35" not in machine:
                yield vm.finding(f"{slot}.pcie", "needs `machine: q35`; add it, or remove pcie")
            mapping = device.get("mapping")
            if isinstance(mapping, str):
                other = mappings.setdefault((kind, mapping), slot)
                if other != slot:
                    message = f"{mapping} is given to {other} too; a device can be given once"
                    yield vm.finding(f"{slot}.mapping", message, "warning" if kind == "hostpci" else "error")
    vga = vm.data.get("vga")
    if (
        isinstance(vga, dict)
        and "memory" in vga
        and str(vga.get("type", "std")).startswith(("serial", "none"))
    ):
        yield vm.finding("vga.memory", f"a display of type {vga['type']} has no memory; remove it")


def drives_have_slots_of_their_own(vm: VM) -> Iterator[Finding]:
    taken: dict[str, str] = {}
    disks = vm.data.get("disks")
    for slot in disks if isinstance(disks, dict) else ():
        taken[str(slot)] = f"disks.{slot}"
    for field, default in (("cloudinit", "ide2"), ("cdrom", "ide3")):
        given = vm.data.get(field)
        if given is None or (given == hardware.NONE and field == "cloudinit"):
            slot = "ide2" if field == "cloudinit" and given is None else ""
        else:
            slot = str(given.get("slot", default)) if isinstance(given, dict) else default
        if slot and slot in taken:
            place = f"{field}.slot" if isinstance(given, dict) and "slot" in given else field
            message = f"{slot} is taken by {taken[slot]}; choose another slot"
            if taken[slot] == "cloudinit" and "cloudinit" not in vm.data:
                message = (
                    f"{slot} is where the drive of cloud-init is; choose another slot, or move that one with"
                    " `cloudinit: {slot: ide0}`"
                )
            yield vm.finding(place, message)
        elif slot:
            taken[slot] = field


def ha_agrees(vm: VM) -> Iterator[Finding]:
    ha, state = vm.data.get("ha"), vm.data.get("vm_state", "running")
    wanted = ha.get("state", "started") if isinstance(ha, dict) else None
    if (wanted, state) in (("stopped", "running"), ("disabled", "running"), ("started", "stopped")):
        yield vm.finding("ha.state", f"is {wanted}, but vm_state is {state}; the two would take turns")


def cloud_init_is_there(vm: VM) -> Iterator[Finding]:
    if vm.data.get("cloudinit") != hardware.NONE:
        return
    fields = [
        "nameserver",
        "searchdomain",
        "sshkeys",
        "cicustom",
        "cipassword",
        *hardware.slots("ipconfig", vm.data),
    ]
    for field in fields:
        if field in vm.data:
            yield vm.finding(field, "is set by cloud-init, which the machine does not have; remove it")


RULES: tuple[Callable[[VM], Iterator[Finding]], ...] = (
    memory_fits,
    firmware_fits,
    devices_fit,
    drives_have_slots_of_their_own,
    ha_agrees,
    cloud_init_is_there,
)
