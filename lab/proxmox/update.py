"""Changes to a machine's configuration: what takes effect at once, and what waits for the next start."""

import re

from lab.proxmox import access, allocation, attach, cloudinit, config, properties
from lab.proxmox import options as known
from lab.proxmox.errors import ApiError, invalid
from lab.proxmox.guests import Guest

# What takes effect in a running machine; everything else waits for its next start.
FAST = {
    "name",
    "description",
    "tags",
    "onboot",
    "protection",
    "startup",
    "lock",
    "hookscript",
    "shares",
    "hotplug",
}


HOT = re.compile(r"(?:scsi|virtio|net|unused)\d+")


def _set(guest: Guest, key: str, value, running: bool) -> None:
    """Write one option where it belongs: into what runs, or among the pending values."""
    now = key in FAST or cloudinit.OPTIONS.fullmatch(key) or HOT.fullmatch(key)
    old = guest.config.get(key)
    if now and running and old is not None and properties.DRIVE.fullmatch(key):
        # Options of an attached drive wait; another volume, or another size, does not.
        strip = {"file", "size"}
        before, after = properties.parse_drive(key, old), properties.parse_drive(key, value)
        same = {k: v for k, v in before.items() if k not in strip} == {
            k: v for k, v in after.items() if k not in strip
        }
        now = same or before["file"] != after["file"]
    if key in guest.pending_delete:
        guest.pending_delete.remove(key)
    if now or not running or old == value:
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
    if running and not (key in FAST or cloudinit.OPTIONS.fullmatch(key) or HOT.fullmatch(key)):
        if key not in guest.pending_delete:
            guest.pending_delete.append(key)
        return
    if properties.DRIVE.fullmatch(key):
        if guest.config.get("protection"):
            raise ApiError(f"can't remove drive '{key}' - protection mode enabled")
        drive = properties.parse_drive(key, guest.config.pop(key))
        attach.dropped(guest, drive, attach.in_use(guest))
    else:
        guest.config.pop(key)


def update(guest: Guest, options: dict, delete: list[str], running: bool, caller: access.Caller) -> None:
    """Change the configuration in memory and on the storages; the caller saves it."""
    delete = ["ide2" if key == "cdrom" else key for key in delete]
    for key in delete:
        if key in options:
            raise invalid(delete=f"you can't use '-{key}' and -delete {key}' at the same time")
        known.check_known(key)
    options = known.checked(options)
    config.check_values(options)
    for key, value in options.items():
        access.check(caller, f"/vms/{guest.vmid}", config.privilege(key, str(value)))
    for key in delete:
        access.check(caller, f"/vms/{guest.vmid}", config.privilege(key, str(guest.config.get(key, ""))))
    parsed_drives = {
        k: properties.parse_drive(k, v) for k, v in options.items() if properties.DRIVE.fullmatch(k)
    }
    nets = {k: properties.parse_net(k, v) for k, v in options.items() if properties.NET.fullmatch(k)}
    for net in nets.values():
        if bridge := net.get("bridge"):
            access.check(caller, f"/sdn/zones/localnetwork/{bridge}", "SDN.Use")
    for key in delete:
        _delete(guest, key, running)
    for key, drive in parsed_drives.items():
        options[key] = properties.show(attach.allocate(guest, key, drive, caller), "file")
    for key, net in nets.items():
        old = guest.effective().get(key)
        if "macaddr" not in net:  # PVE makes a new one whenever none is sent
            net["macaddr"] = properties.new_mac()
        options[key] = properties.show_net(net) if old != properties.show_net(net) else old
    for key, value in options.items():
        replaced = guest.config.get(key) if key in parsed_drives else None
        _set(guest, key, value, running)
        if replaced and key not in guest.pending:
            attach.dropped(guest, properties.parse_drive(key, replaced), attach.in_use(guest))
        if key in parsed_drives:
            volid = properties.parse_drive(key, value)["file"]
            for unused in [
                k for k, v in guest.config.items() if properties.UNUSED.fullmatch(k) and v == volid
            ]:
                del guest.config[unused]
