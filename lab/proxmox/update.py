"""Changes to a machine's configuration: what takes effect at once, and what waits for the next start."""

import uuid

from lab.proxmox import allocation, attach, checks, config, faults, hotplug, properties
from lab.proxmox.errors import ApiError
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


def apply(guest: Guest, options: dict, delete: list[str], running: bool, step: str = "") -> None:
    """Make a checked change in memory and on the storages; the caller saves it. Faults meet it after each drive."""
    options, drives, nets = dict(options), checks.drives_of(options), checks.nets_of(options)
    before = order = checks.boot_order(guest.config)
    for key in delete:
        order = [device for device in order if device != key]
        _delete(guest, key, running)
    _allocate(guest, options, drives, step)
    added = [
        key for key, drive in drives.items()
        if order and key not in order and config.is_cdrom(drive) and not config.is_cloudinit(drive["file"])
    ]  # fmt: skip
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


def _allocate(guest: Guest, options: dict, drives: dict[str, dict], step: str) -> None:
    """Make the volumes of all drives, or none of them."""
    made: list[str] = []
    try:
        for key, drive in sorted(drives.items()):
            options[key] = properties.show(attach.allocate(guest, key, drive, made), "file")
            if step:
                faults.meet(f"STEP {step}:{guest.vmid} {key}")
    except ApiError:
        for volid in made:
            allocation.free(guest.node, volid)
        raise


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
