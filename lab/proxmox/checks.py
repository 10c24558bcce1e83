"""Whether a change to a machine's configuration is right, and whether the caller may make it."""

import re

from lab.proxmox import access, attach, config, permissions, properties, volumes
from lab.proxmox import options as known
from lab.proxmox.errors import ApiError, invalid, invalid_keys
from lab.proxmox.guests import Guest


def check(guest: Guest, options: dict, delete: list[str], caller: access.Caller) -> dict:
    """The options of a change as Proxmox stores them; ApiError unless they are right and the caller may do it."""
    options = dict(options)
    if medium := options.pop("cdrom", None):
        options["ide2"] = medium if "media=" in medium else f"{medium},media=cdrom"
    for key in delete:
        if key in options:
            raise invalid(delete=f"you can't use '-{key}' and -delete {key}' at the same time")
        known.check_known(key)
    options = known.checked(options)
    config.check_values(options)
    drives, nets = drives_of(options), nets_of(options)
    for key, drive in drives.items():
        attach.check_medium(key, drive)
    _check_hook_script(guest, options)
    for key in [*delete, *options]:
        permissions.check_option(caller, guest.vmid, key)
    for key, drive in drives.items():
        attach.check_access(guest, key, drive, caller)
    _check_bridges(guest, nets, delete, caller)
    _check_values(guest, options, delete, caller)
    return options


def drives_of(options: dict) -> dict[str, dict]:
    return {k: properties.parse_drive(k, v) for k, v in options.items() if properties.DRIVE.fullmatch(k)}


def nets_of(options: dict) -> dict[str, dict]:
    return {k: properties.parse_net(k, v) for k, v in options.items() if properties.NET.fullmatch(k)}


def boot_order(options: dict) -> list[str]:
    boot = properties.parse(options.get("boot", ""), "legacy")
    return [device for device in boot.get("order", "").split(";") if device]


def _check_bridges(guest: Guest, nets: dict, delete: list[str], caller: access.Caller) -> None:
    """The right to use a card's bridge: the new one's and the old one's."""
    wanted = list(nets.values())
    for key in [*nets, *delete]:
        if properties.NET.fullmatch(key) and key in guest.config:
            wanted.append(properties.parse_net(key, guest.config[key]))
    for net in wanted:
        permissions.check_bridge(caller, net)


def _check_values(guest: Guest, options: dict, delete: list[str], caller: access.Caller) -> None:
    """What depends on other values, on the value that is replaced, or on a device's kind."""
    now = guest.effective()
    for key in delete:
        if key in now:
            permissions.check_value(caller, guest.vmid, key, str(now[key]), "delete")
    for key, value in options.items():
        if key in guest.config:
            permissions.check_value(caller, guest.vmid, key, str(guest.config[key]), "modify")
        permissions.check_value(caller, guest.vmid, key, str(value))
    memory = int(str(options.get("memory", now.get("memory", 512))).removeprefix("current="))
    if ("memory" in options or "balloon" in options) and options.get(
        "balloon", now.get("balloon", 0)
    ) > memory:
        raise ApiError("balloon value too large (must be smaller than assigned memory)")
    if vga := options.get("vga"):
        card = properties.parse(vga, "type")
        if card.get("clipboard") and not re.match("std|cirrus|vmware|virtio|qxl", card.get("type", "std")):
            raise ApiError(f"vga type {card['type']} is not compatible with VNC clipboard")
    machine = properties.parse(options.get("machine", ""), "type")
    if machine.get("viommu") == "intel" and "q35" not in machine.get("type", ""):
        raise ApiError("to use Intel vIOMMU please set the machine type to q35")
    for device in boot_order(options):
        if device not in {*now, *options} or device in delete:
            raise ApiError(f"invalid bootorder: device '{device}' does not exist'")
    if (new := options.get("tpmstate0")) and (old := guest.config.get("tpmstate0")):
        before, after = properties.parse_drive("tpmstate0", old), properties.parse_drive("tpmstate0", new)
        if before["file"] == after["file"] and before.get("version", "v1.2") != after.get("version", "v1.2"):
            raise ApiError("cannot change TPM state version after creation")


def _check_hook_script(guest: Guest, options: dict) -> None:
    if volid := options.get("hookscript"):
        if volumes.content(volid) != "snippets":
            raise invalid_keys({"hookscript": f"'{volid}' is not in the snippets directory\n"})
        file = volumes.path(guest.node, volid)
        if not file.is_file():
            raise invalid_keys({"hookscript": f"script '{volid}' does not exist\n"})
        if not file.stat().st_mode & 0o100:
            raise invalid_keys({"hookscript": f"script '{volid}' is not executable\n"})
