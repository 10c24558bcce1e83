"""Changes to a machine's configuration: allocation of volumes, unused disks, pending values."""

import re
import time
import uuid
from urllib.parse import unquote

from lab.proxmox import access, cloudinit, properties, state, volumes
from lab.proxmox.errors import ApiError, invalid, invalid_keys
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
GUARD = {  # the privilege that an option needs on /vms/ID; VM.Config.Options for the rest
    "VM.Config.CPU": re.compile(r"cores|sockets|cpu|cpulimit|cpuunits|vcpus|numa\d*|affinity"),
    "VM.Config.Memory": re.compile(r"memory|balloon|shares|hugepages|keephugepages"),
    "VM.Config.Network": re.compile(r"net\d+"),
    "VM.Config.Cloudinit": re.compile(r"ci\w+|ipconfig\d+|nameserver|searchdomain|sshkeys"),
    "VM.Config.HWType": re.compile(r"serial\d|usb\d+|hostpci\d+|parallel\d|vga|scsihw|machine|bios|rng0|"
                                   r"audio0|tablet|keyboard|watchdog|arch"),
}  # fmt: skip
KEY_LINE = re.compile(r"(?:\S.* )?(?:ssh-(?:rsa|dss|ed25519)|ecdsa-sha2-\S+|sk-\S+) [A-Za-z0-9+/=]+(?: .*)?")


def identity(config: dict) -> None:
    """Give a new or cloned machine the identifiers that no two may share."""
    config["smbios1"] = f"uuid={uuid.uuid4()}"
    config["vmgenid"] = str(uuid.uuid4())
    config["meta"] = f"creation-qemu=10.0.2,ctime={int(time.time())}"


def is_cloudinit(volid: str) -> bool:
    return bool(re.search(r"(?:^|[:/])(?:vm-\d+-)?cloudinit(?:\.\w+)?$", volid))


def is_cdrom(drive: dict) -> bool:
    return drive.get("media") == "cdrom"


def drives(config: dict) -> dict[str, dict]:
    """The drives of a configuration as parsed property strings."""
    return {k: properties.parse_drive(k, v) for k, v in config.items() if properties.DRIVE.fullmatch(k)}


def disks(config: dict) -> dict[str, dict]:
    """Of these, those with a volume of the machine's own: no ISO, no empty CD drive, no cloud-init."""
    return {k: d for k, d in drives(config).items() if not is_cdrom(d) and not is_cloudinit(d["file"])}


def privilege(option: str, text: str) -> str:
    if properties.DRIVE.fullmatch(option) or properties.UNUSED.fullmatch(option):
        cdrom = is_cloudinit(text.partition(",")[0].removeprefix("file=")) or "media=cdrom" in text
        return "VM.Config.CDROM" if cdrom else "VM.Config.Disk"
    return next((p for p, pattern in GUARD.items() if pattern.fullmatch(option)), "VM.Config.Options")


def check_values(options: dict) -> None:
    errors = {}
    for key, value in options.items():
        if key.startswith("ipconfig") and (error := cloudinit.check_ipconfig(key, value)):
            errors[key] = error
        elif key == "sshkeys":
            if not re.fullmatch(r"[-%a-zA-Z0-9_.!~*'()]*", value):
                errors[key] = "invalid format - invalid urlencoded string"
            elif not all(KEY_LINE.fullmatch(line) for line in unquote(value).split("\n") if line.strip()):
                errors[key] = "invalid format - SSH public key validation error"
    if errors:
        raise invalid_keys(errors)


def _allocate(guest: Guest, key: str, drive: dict, caller: access.Caller) -> dict:
    """Turn what was asked for into an existing volume: STORE:GiB, STORE:cloudinit, or one that is there."""
    file = drive["file"]
    if file in ("none", "cdrom"):
        return drive | {"media": "cdrom"}
    storage, name = volumes.split(file)
    volumes.check_storage(storage)
    if re.fullmatch(r"\d+(\.\d+)?", name):
        access.check(caller, f"/storage/{storage}", "Datastore.AllocateSpace")
        volid = volumes.allocate(guest.node, storage, guest.vmid, int(float(name) * state.GIB))
    elif is_cloudinit(file):
        if name == "cloudinit":
            access.check(caller, f"/storage/{storage}", "Datastore.AllocateSpace")
        volid = volumes.allocate_cloudinit(guest.node, storage, guest.vmid)
        return {k: v for k, v in drive.items() if k != "format"} | {"file": volid, "media": "cdrom"}
    elif is_cdrom(drive):
        return drive
    else:
        owner = volumes.owner(file)
        if owner != guest.vmid:
            access.check(caller, f"/storage/{storage}", "Datastore.Allocate")
        volid = file
    size = properties.show_size(volumes.size(guest.node, volid))
    return {k: v for k, v in drive.items() if k != "format"} | {"file": volid, "size": size}


def _add_unused(guest: Guest, volid: str) -> None:
    if volid in guest.config.values():
        return
    taken = {k for k in guest.config if properties.UNUSED.fullmatch(k)}
    guest.config[next(f"unused{n}" for n in range(256) if f"unused{n}" not in taken)] = volid


def _dropped(guest: Guest, drive: dict, keep: set[str]) -> None:
    """A drive left the configuration: its volume becomes unusedN, a cloud-init volume goes."""
    file = drive["file"]
    if file in keep or ":" not in file:
        return
    if is_cloudinit(file):
        volumes.free(guest.node, file)
    elif not is_cdrom(drive) and volumes.owner(file) == guest.vmid:
        _add_unused(guest, file)


def _in_use(guest: Guest) -> set[str]:
    return {
        drive["file"] for config in (guest.config, guest.effective()) for drive in drives(config).values()
    }


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
        _dropped(guest, properties.parse_drive(key, pending), _in_use(guest))
    if key not in guest.config:
        return
    if properties.UNUSED.fullmatch(key):
        if guest.config.get("protection"):
            raise ApiError(f"can't remove unused disk '{guest.config[key]}' - protection mode enabled")
        volid = guest.config.pop(key)
        if volid not in _in_use(guest):
            volumes.free(guest.node, volid)
        return
    if running and not (key in FAST or cloudinit.OPTIONS.fullmatch(key) or HOT.fullmatch(key)):
        if key not in guest.pending_delete:
            guest.pending_delete.append(key)
        return
    if properties.DRIVE.fullmatch(key):
        if guest.config.get("protection"):
            raise ApiError(f"can't remove drive '{key}' - protection mode enabled")
        drive = properties.parse_drive(key, guest.config.pop(key))
        _dropped(guest, drive, _in_use(guest))
    else:
        guest.config.pop(key)


def update(guest: Guest, options: dict, delete: list[str], running: bool, caller: access.Caller) -> None:
    """Change the configuration in memory and on the storages; the caller saves it."""
    delete = ["ide2" if key == "cdrom" else key for key in delete]
    for key in delete:
        if key in options:
            raise invalid(delete=f"you can't use '-{key}' and -delete {key}' at the same time")
        properties_known(key)
    options = properties.checked(options)
    check_values(options)
    for key, value in options.items():
        access.check(caller, f"/vms/{guest.vmid}", privilege(key, str(value)))
    for key in delete:
        access.check(caller, f"/vms/{guest.vmid}", privilege(key, str(guest.config.get(key, ""))))
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
        options[key] = properties.show(_allocate(guest, key, drive, caller), "file")
    for key, net in nets.items():
        old = guest.effective().get(key)
        if "macaddr" not in net:  # PVE makes a new one whenever none is sent
            net["macaddr"] = properties.new_mac()
        options[key] = properties.show_net(net) if old != properties.show_net(net) else old
    for key, value in options.items():
        replaced = guest.config.get(key) if key in parsed_drives else None
        _set(guest, key, value, running)
        if replaced and key not in guest.pending:
            _dropped(guest, properties.parse_drive(key, replaced), _in_use(guest))
        if key in parsed_drives:
            volid = properties.parse_drive(key, value)["file"]
            for unused in [
                k for k, v in guest.config.items() if properties.UNUSED.fullmatch(k) and v == volid
            ]:
                del guest.config[unused]


def properties_known(key: str) -> None:
    known = key in properties.STRINGS or key in properties.INTEGERS or key in properties.BOOLEANS
    patterns = (properties.NUMBERED, properties.DRIVE, properties.NET, properties.UNUSED)
    if not known and not any(pattern.fullmatch(key) for pattern in patterns):
        raise invalid(delete=f"unknown option '{key}'")
