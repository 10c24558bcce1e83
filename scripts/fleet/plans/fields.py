"""The names that a person knows for the provider's attributes: a VM file's where it has one, else Proxmox's."""

from typing import Any, NamedTuple

from fleet.plans.values import shown
from fleet.vms.machine import Disk

# What a VM file can say: the provider's attribute, and the file's field.
FIELDS = {
    "agent.enabled": "agent",
    "boot_order": "boot",
    "cpu.cores": "cores",
    "cpu.sockets": "sockets",
    "cpu.type": "cpu_type",
    "description": "description",
    "initialization.dns.domain": "searchdomain",
    "initialization.dns.servers": "nameserver",
    "initialization.ip_config": "ipconfig0",
    "initialization.user_account.keys": "sshkeys",
    "initialization.user_account.username": "ciuser",
    "memory.dedicated": "memory",
    "name": "name",
    "network_device": "network",
    "network_device.bridge": "network.bridge",
    "network_device.firewall": "network.firewall",
    "network_device.mac_address": "network.macaddr",
    "network_device.model": "network.model",
    "network_device.mtu": "network.mtu",
    "network_device.rate_limit": "network.rate",
    "network_device.vlan_id": "network.tag",
    "node_name": "target_node",
    "on_boot": "onboot",
    "pool_id": "pool",
    "protection": "protection",
    "scsi_hardware": "scsihw",
    "started": "vm_state",
    "tags": "tags",
}
# What it cannot say, where Proxmox has a better known name than the provider.
_PROXMOX = {
    "initialization": "cloud-init drive",
    "initialization.datastore_id": "cloud-init drive's storage",
    "initialization.ip_config": "ipconfig",
    "initialization.interface": "cloud-init drive's slot",
    "initialization.user_account.password": "cipassword",
    "memory.floating": "balloon",
    "network_device": "net",
    "operating_system.type": "ostype",
    "serial_device": "serial",
}


class Difference(NamedTuple):
    """One value: its name, whether a VM file can say it, and what it was and would be (None: not there)."""

    field: str
    said: bool
    old: Any
    new: Any

    def __str__(self) -> str:
        return f"{self.field}: {shown(self.field, self.old)} → {shown(self.field, self.new)}"


def named(path: str, old: Any, new: Any) -> Difference:
    first = path.replace("[0]", "")
    if first in FIELDS:
        if first == "started":
            old, new = ("running" if side else "stopped" for side in (old, new))
        return Difference(FIELDS[first], True, old, new)
    key, bracket, index = first.partition("[")
    if bracket:  # a second device of its kind: net1, serial1
        number, _, rest = index.partition("]")
        return Difference(f"{_PROXMOX.get(key, key)}{number}{rest}", False, old, new)
    return Difference(_PROXMOX.get(first, first), False, old, new)


def of_disk(slot: str, path: str, old: Any, new: Any) -> Difference:
    if not path:
        old, new = (side and {"size": side["size"], "storage": side["datastore_id"]} for side in (old, new))
        return Difference(f"disks.{slot}", True, old, new)
    name = "storage" if path == "datastore_id" else path
    return Difference(f"disks.{slot}.{name}", name in Disk._fields, old, new)
