"""The names that a person knows for the provider's attributes: a VM file's where it has one, else Proxmox's."""

import re
from typing import Any, NamedTuple

from fleet.plans.values import shown
from fleet.vms.machine import Disk

# What a VM file can say: the provider's attribute, and the file's field.
FIELDS = {
    "agent.enabled": "agent",
    "agent.trim": "agent.fstrim",
    "bios": "bios",
    "boot_order": "boot",
    "cdrom": "cdrom",
    "cdrom.file_id": "cdrom.file",
    "cdrom.interface": "cdrom.slot",
    "cpu.cores": "cores",
    "cpu.flags": "cpu_flags",
    "cpu.hotplugged": "vcpus",
    "cpu.limit": "cpulimit",
    "cpu.numa": "numa",
    "cpu.sockets": "sockets",
    "cpu.type": "cpu_type",
    "cpu.units": "cpuunits",
    "description": "description",
    "efi_disk": "efidisk",
    "efi_disk.datastore_id": "efidisk.storage",
    "efi_disk.pre_enrolled_keys": "efidisk.pre_enrolled_keys",
    "efi_disk.type": "efidisk.efitype",
    "hostpci": "hostpci",
    "hostpci.mapping": "hostpci.mapping",
    "hostpci.mdev": "hostpci.mdev",
    "hostpci.pcie": "hostpci.pcie",
    "hostpci.rombar": "hostpci.rombar",
    "hostpci.xvga": "hostpci.x_vga",
    "hotplug": "hotplug",
    "initialization": "cloudinit",
    "initialization.datastore_id": "cloudinit.storage",
    "initialization.dns.domain": "searchdomain",
    "initialization.dns.servers": "nameserver",
    "initialization.interface": "cloudinit.slot",
    "initialization.ip_config": "ipconfig0",
    "initialization.meta_data_file_id": "cicustom.meta",
    "initialization.network_data_file_id": "cicustom.network",
    "initialization.user_data_file_id": "cicustom.user",
    "initialization.vendor_data_file_id": "cicustom.vendor",
    "initialization.user_account.keys": "sshkeys",
    "initialization.user_account.username": "ciuser",
    "keyboard_layout": "keyboard",
    "machine": "machine",
    "memory.dedicated": "memory",
    "memory.floating": "balloon",
    "name": "name",
    "network_device": "network",
    "network_device.bridge": "network.bridge",
    "network_device.disconnected": "network.link_down",
    "network_device.firewall": "network.firewall",
    "network_device.mac_address": "network.macaddr",
    "network_device.model": "network.model",
    "network_device.mtu": "network.mtu",
    "network_device.queues": "network.queues",
    "network_device.rate_limit": "network.rate",
    "network_device.vlan_id": "network.tag",
    "node_name": "target_node",
    "on_boot": "onboot",
    "operating_system.type": "ostype",
    "pool_id": "pool",
    "protection": "protection",
    "scsi_hardware": "scsihw",
    "started": "vm_state",
    "startup": "startup",
    "startup.down_delay": "startup.down",
    "startup.order": "startup.order",
    "startup.up_delay": "startup.up",
    "tablet_device": "tablet",
    "tags": "tags",
    "tpm_state": "tpmstate",
    "tpm_state.datastore_id": "tpmstate.storage",
    "tpm_state.version": "tpmstate.version",
    "usb": "usb",
    "usb.mapping": "usb.mapping",
    "usb.usb3": "usb.usb3",
    "vga": "vga",
    "vga.clipboard": "vga.clipboard",
    "vga.memory": "vga.memory",
    "vga.type": "vga.type",
    "virtiofs": "virtiofs",
    "virtiofs.cache": "virtiofs.cache",
    "virtiofs.direct_io": "virtiofs.direct_io",
    "virtiofs.expose_acl": "virtiofs.expose_acl",
    "virtiofs.expose_xattr": "virtiofs.expose_xattr",
    "virtiofs.mapping": "virtiofs.mapping",
    "watchdog": "watchdog",
    "watchdog.action": "watchdog.action",
    "watchdog.model": "watchdog.model",
}
# Blocks of which each is a field of its own, by what the fields are called.
_SLOTTED = {
    "network_device": "net", "initialization.ip_config": "ipconfig", "hostpci": "hostpci", "usb": "usb",
    "virtiofs": "virtiofs",
}  # fmt: skip
# What it cannot say, where Proxmox has a better known name than the provider.
_PROXMOX = {"initialization.user_account.password": "cipassword", "serial_device": "serial"}
_SLOT = re.compile(r"(network_device|initialization\.ip_config|hostpci|usb|virtiofs)\[(\d+)\](.*)")


class Difference(NamedTuple):
    """One value: its name, whether a VM file can say it, and what it was and would be (None: not there)."""

    field: str
    said: bool
    old: Any
    new: Any

    def __str__(self) -> str:
        return f"{self.field}: {shown(self.field, self.old)} → {shown(self.field, self.new)}"


def named(path: str, old: Any, new: Any) -> Difference:
    first = path.replace("initialization[0]", "initialization")
    if slot := _SLOT.fullmatch(first):
        kind, number, rest = slot.groups()
        field = FIELDS.get(kind + rest, kind + rest)
        if (kind, number) not in (("network_device", "0"), ("initialization.ip_config", "0")):
            field = f"{_SLOTTED[kind]}{number}" + field.removeprefix(FIELDS[kind])
        return Difference(field, kind + rest in FIELDS, old, new)
    first = first.replace("[0]", "")
    if first in FIELDS:
        if first == "started":
            old, new = ("running" if side else "stopped" for side in (old, new))
        return Difference(FIELDS[first], True, old, new)
    key, bracket, index = first.partition("[")
    if bracket:  # a second device of its kind: serial1
        number, _, rest = index.partition("]")
        return Difference(f"{_PROXMOX.get(key, key)}{number}{rest}", False, old, new)
    return Difference(_PROXMOX.get(first, first), False, old, new)


def of_disk(slot: str, path: str, old: Any, new: Any) -> Difference:
    if not path:
        old, new = (side and {"size": side["size"], "storage": side["datastore_id"]} for side in (old, new))
        return Difference(f"disks.{slot}", True, old, new)
    name = "storage" if path == "datastore_id" else path
    return Difference(f"disks.{slot}.{name}", name in Disk._fields, old, new)
