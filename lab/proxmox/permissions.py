"""Who may set or remove which option of a machine: check_vm_modify_config_perm of qemu-server and its kin.

The same in 8.4 and 9.2. What no list names is root's alone, and a token of root is not root.
"""

import re

from lab.proxmox import access, config, options, properties
from lab.proxmox.errors import ApiError, invalid_keys

_PRIVILEGES = {
    "VM.Config.CPU": "cores cpu cpulimit cpuunits numa sockets vcpus",
    "VM.Config.Memory": "allow-ksm balloon memory shares",
    "VM.Config.HWType": "acpi audio hotplug kvm machine rng scsihw smbios1 tablet vga watchdog",
    "VM.Config.Options": "agent autostart bios description keyboard localtime migrate_downtime migrate_speed name "
                         "onboot ostype protection reboot startdate startup tags tdf template",
    "VM.PowerMgmt": "freeze",
    "VM.Config.Disk": "boot bootdisk vmstatestorage unused",
    "VM.Config.Network": "net",
}  # fmt: skip
PRIVILEGE = {option: name for name, listed in _PRIVILEGES.items() for option in listed.split()}
CLOUD_INIT = {
    "cicustom", "cipassword", "citype", "ciuser", "ciupgrade", "ipconfig", "nameserver", "searchdomain", "sshkeys",
}  # fmt: skip
ONLY_BY_VALUE = {"hostpci", "usb", "serial", "virtiofs"}


def root(caller: access.Caller) -> bool:
    return caller.name == access.ROOT_USER


def check_option(caller: access.Caller, vmid: int, key: str) -> None:
    """Whether the caller may set or remove an option, whatever its value."""
    name, path = options.kind(key), f"/vms/{vmid}"
    if root(caller) or name in ONLY_BY_VALUE or properties.DRIVE.fullmatch(key):
        return
    if name in CLOUD_INIT:
        access.check(caller, path, "VM.Config.Cloudinit", "VM.Config.Network")
    elif privilege := PRIVILEGE.get(name) or ("VM.Config.CPU" if re.fullmatch(r"numa\d", key) else None):
        access.check(caller, path, privilege)
        if key == "startup":  # it changes what the host does when it boots
            access.check(caller, "/", "Sys.Modify")
    else:
        raise ApiError(f"only root can set '{key}' config")


def check_value(caller: access.Caller, vmid: int, key: str, value: str, verb: str = "set") -> None:
    """Whether the caller may give a device this value, or take away a device that has it."""
    name, path = options.kind(key), f"/vms/{vmid}"
    if root(caller):
        return
    if properties.DRIVE.fullmatch(key):
        _check_drive(caller, path, key, value)
    elif name == "serial":
        if value != "socket":
            raise ApiError(f"only root can {verb} '{key}' config for real devices")
        access.check(caller, path, "VM.Config.HWType")
    elif name in ("usb", "hostpci", "rng", "virtiofs"):
        access.check(caller, path, "VM.Config.Disk" if name == "virtiofs" else "VM.Config.HWType")
        check_mapping(caller, key, value)


def _check_drive(caller: access.Caller, path: str, key: str, value: str) -> None:
    drive = properties.parse_drive(key, value)
    if config.is_cloudinit(drive["file"]):
        access.check(caller, path, "VM.Config.Cloudinit")
        access.check(caller, path, "VM.Config.CDROM")
    else:
        access.check(caller, path, "VM.Config.CDROM" if config.is_cdrom(drive) else "VM.Config.Disk")


def check_bridge(caller: access.Caller, net: dict) -> None:
    """Whether the caller may use a card's bridge, with its VLAN."""
    if bridge := net.get("bridge"):
        path = f"/sdn/zones/localnetwork/{bridge}"
        access.check(caller, f"{path}/{net['tag']}" if "tag" in net else path, "SDN.Use")


def check_mapping(caller: access.Caller, key: str, value: str) -> None:
    """Whether the caller may use what a device is mapped to; asked for clones of a machine as well."""
    name = options.kind(key)
    if root(caller) or name not in ("usb", "hostpci", "rng", "virtiofs"):
        return
    device = properties.parse(value, {"virtiofs": "dirid", "rng": "source"}.get(name, "host"))
    if name == "virtiofs":
        access.check(caller, f"/mapping/dir/{device['dirid']}", "Mapping.Use")
    elif name == "rng":
        if device["source"] == "/dev/hwrng":
            access.check(caller, "/mapping/hwrng", "Mapping.Use")
    elif host := device.get("host"):
        if name == "hostpci":
            raise ApiError(f"only root can set '{key}' config for non-mapped devices")
        if host.lower() != "spice":
            raise ApiError(f"only root can set '{key}' config for real devices")
    elif mapping := device.get("mapping"):
        access.check(caller, f"/mapping/{'pci' if name == 'hostpci' else name}/{mapping}", "Mapping.Use")
    else:
        raise ApiError("either 'host' or 'mapping' must be set.")
    if "romfile" in device:
        raise invalid_keys({key: "only root@pam can set 'romfile' option"})
