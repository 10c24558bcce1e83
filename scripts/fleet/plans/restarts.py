"""What of a change takes effect only when the machine starts next."""

from collections.abc import Collection, Mapping
from typing import Any

# The provider writes these to Proxmox at once; they take effect at the machine's next start.
_RESTARTS = (
    "acpi", "agent", "amd_sev", "audio_device", "bios", "boot_order", "cdrom", "cpu", "efi_disk", "hostpci",
    "initialization", "keyboard_layout", "kvm_arguments", "machine", "memory", "network_device", "numa",
    "operating_system", "rng", "scsi_hardware", "serial_device", "tablet_device", "tpm_state", "usb", "vga",
    "virtiofs", "watchdog",
)  # fmt: skip
# Of these blocks, what Proxmox applies to a machine that runs (qemu-server, vmconfig_hotplug_pending), and what
# Terraform alone knows.
_AT_ONCE = {
    "agent": ("timeout", "trim", "wait_for_ip"),
    "cdrom": ("file_id",),
    "cpu": ("limit", "units"),
    "memory": ("floating",),
}
# What it applies where the machine's `hotplug` has this feature.
_HOTPLUG = {"network_device": "network", "tablet_device": "usb", "usb": "usb"}
_HOTPLUG_DEFAULT = "disk,network,usb"
# Options of a disk that take effect at the next start.
_DISK = ("aio", "cache", "discard", "iothread", "queues", "serial", "ssd")


def of_attributes(before: Mapping[str, Any], after: Mapping[str, Any], changed: Collection[str]) -> list[str]:
    """Those of the provider's attributes but disks whose change waits for the next start."""
    return [
        key
        for key in _RESTARTS
        if key in changed and not _hotplugs(before, key) and _differs(key, before[key], after[key])
    ]


def of_provider(changed: Collection[str]) -> bool:
    """Whether the provider takes one of these for a change that waits."""
    return any(key in _RESTARTS and key != "network_device" for key in changed)


def of_disk(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether a change of this disk waits for the next start."""
    return any(old.get(option) != new.get(option) for option in _DISK)


def of_cloud_init(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether cloud-init will take the machine for a new one at the next start."""
    return _cloud_init_input(before) != _cloud_init_input(after)


def _hotplugs(before: Mapping[str, Any], key: str) -> bool:
    if key not in _HOTPLUG:
        return False
    features = str(before.get("hotplug") or _HOTPLUG_DEFAULT)
    return _HOTPLUG[key] in (_HOTPLUG_DEFAULT if features == "1" else features).split(",")


def _differs(key: str, old: Any, new: Any) -> bool:
    """Whether a block changes in more than what needs no restart."""
    if key == "memory" and _balloons(old) != _balloons(new):
        return True
    if key in _AT_ONCE:
        return _without(old, *_AT_ONCE[key]) != _without(new, *_AT_ONCE[key])
    return old != new


def _balloons(blocks: Any) -> bool:
    """Whether the machine has a balloon; how far it goes is not seen before the node runs short."""
    return any(block and block["floating"] for block in blocks or [])


def _without(blocks: Any, *keys: str) -> list[dict[str, Any]]:
    return [{key: value for key, value in (block or {}).items() if key not in keys} for block in blocks or []]


def _cloud_init_input(values: Mapping[str, Any]) -> Any:
    """What goes into cloud-init's user-data and network-config."""
    network = [device.get("mac_address") for device in values.get("network_device") or []]
    first = (values.get("initialization") or [{}])[0] or {}
    given = {key: first.get(key) for key in ("ip_config", "user_account", "dns")}
    return given, network, values.get("name")
