"""Changes to a machine's configuration: what takes effect at once, and what waits for the next start."""

import re
import uuid

from lab.proxmox import access, allocation, attach, config, hotplug, permissions, properties, volumes
from lab.proxmox import options as known
from lab.proxmox.errors import ApiError, invalid, invalid_keys
from lab.proxmox.guests import Guest

WINDOWS = {"wxp", "w2k", "w2k3", "w2k8", "wvista", "win7", "win8", "win10", "win11"}
PINNED = {"pc": "pc-i440fx-10.0+pve1", "q35": "pc-q35-10.0+pve1"}


def _set(guest: Guest, key: str, value, running: bool) -> None:
    """Write one option where it belongs: into what runs, or among the pending values."""
    if key in guest.pending_delete:
        guest.pending_delete.remove(key)
    if not running or guest.config.get(key) == value or hotplug.takes(guest, key, value):
        guest.config[key] = value
        guest.pending.pop(key, None)
    else:
        guest.pending[key] = value


def _delete(guest: Guest, key: str, running: bool) -> None:
    pending = guest.pending.pop(key, None)
    if pending is not None and properties.DRIVE.fullmatch(key):
        attach.dropped(guest, properties.parse_drive(key, pending), attach.in_use(guest))
    if key not in guest.config:
        return
    if properties.UNUSED.fullmatch(key):
        if guest.config.get("protection"):
            raise ApiError(f"can't remove unused disk '{guest.config[key]}' - protection mode enabled")
        volid = guest.config.pop(key)
        if volid not in attach.in_use(guest):
            allocation.free(guest.node, volid)
        return
    if properties.DRIVE.fullmatch(key) and guest.config.get("protection"):
        raise ApiError(f"can't remove drive '{key}' - protection mode enabled")
    if running and not hotplug.takes(guest, key, None):
        if key not in guest.pending_delete:
            guest.pending_delete.append(key)
        return
    value = guest.config.pop(key)
    if properties.DRIVE.fullmatch(key):
        attach.dropped(guest, properties.parse_drive(key, value), attach.in_use(guest))


def update(guest: Guest, options: dict, delete: list[str], running: bool, caller: access.Caller) -> None:
    """Change the configuration in memory and on the storages; the caller saves it."""
    delete = ["ide2" if key == "cdrom" else key for key in delete]
    options = dict(options)
    if medium := options.pop("cdrom", None):
        options["ide2"] = medium if "media=" in medium else f"{medium},media=cdrom"
    for key in delete:
        if key in options:
            raise invalid(delete=f"you can't use '-{key}' and -delete {key}' at the same time")
        known.check_known(key)
    options = known.checked(options)
    config.check_values(options)
    drives = {k: properties.parse_drive(k, v) for k, v in options.items() if properties.DRIVE.fullmatch(k)}
    nets = {k: properties.parse_net(k, v) for k, v in options.items() if properties.NET.fullmatch(k)}
    for key, drive in drives.items():
        attach.check_medium(key, drive)
    _check_hook_script(guest, options)
    for key in [*delete, *options]:
        permissions.check_option(caller, guest.vmid, key)
    for key, drive in drives.items():
        attach.check_access(guest, key, drive, caller)
    _check_bridges(guest, nets, delete, caller)
    _check_values(guest, options, delete, caller)

    before = order = _boot_order(guest.config)
    added = []
    for key in delete:
        order = [device for device in order if device != key]
        _delete(guest, key, running)
    for key, drive in drives.items():
        options[key] = properties.show(attach.allocate(guest, key, drive), "file")
        if order and key not in order and config.is_cdrom(drive) and not config.is_cloudinit(drive["file"]):
            added.append(key)
    if added:
        # A CD drive that is added is one to boot from. Proxmox takes the options of a request in no order of its
        # own: an order that is sent along is lost or wins by chance. Here it is always lost.
        options["boot"] = f"order={';'.join([*order, *added])}"
    elif order != before and "boot" not in options:
        options["boot"] = f"order={';'.join(order)}"
    for key, net in nets.items():
        old = guest.effective().get(key)
        if "macaddr" not in net:  # PVE makes a new one whenever none is sent
            net["macaddr"] = properties.new_mac()
        options[key] = properties.show_net(net) if old != properties.show_net(net) else old
    if options.get("vmgenid") == "1":
        options["vmgenid"] = str(uuid.uuid4())
    if options.get("ostype") in WINDOWS and "machine" not in {*options, *delete, *guest.pending}:
        machine = guest.config.get("machine", "pc")
        options["machine"] = PINNED.get(machine, machine)
    for key, value in options.items():
        _change(guest, key, value, running)


def _change(guest: Guest, key: str, value, running: bool) -> None:
    drive = properties.parse_drive(key, value) if properties.DRIVE.fullmatch(key) else None
    replaced = guest.config.get(key) if drive else None
    _set(guest, key, value, running)
    if replaced and key not in guest.pending:
        attach.dropped(guest, properties.parse_drive(key, replaced), attach.in_use(guest))
    if drive:
        for unused in [
            k for k, v in guest.config.items() if properties.UNUSED.fullmatch(k) and v == drive["file"]
        ]:
            del guest.config[unused]


def _boot_order(options: dict) -> list[str]:
    boot = properties.parse(options.get("boot", ""), "legacy")
    return [device for device in boot.get("order", "").split(";") if device]


def _check_bridges(guest: Guest, nets: dict, delete: list[str], caller: access.Caller) -> None:
    """The right to use a card's bridge: the new one's and the old one's."""
    wanted = list(nets.values())
    for key in [*nets, *delete]:
        if properties.NET.fullmatch(key) and key in guest.config:
            wanted.append(properties.parse_net(key, guest.config[key]))
    for net in wanted:
        if bridge := net.get("bridge"):
            path = f"/sdn/zones/localnetwork/{bridge}"
            access.check(caller, f"{path}/{net['tag']}" if "tag" in net else path, "SDN.Use")


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
    for device in _boot_order(options):
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
