"""What the task workers do; each function may raise ApiError and may print lines for the task's log."""

import re

from lab.proxmox import config, guests, machines, pools, properties, volumes
from lab.proxmox.errors import ApiError


def clone(node: str, vmid: int, newid: int, full: bool, storage: str | None) -> None:
    """Fill the locked configuration of `newid` from `vmid`: new volumes and MAC addresses, no template."""
    source, made = guests.load(node, vmid), guests.load(node, newid)
    result = {}
    try:
        for key, value in source.config.items():
            if properties.UNUSED.fullmatch(key) or key in ("template", "lock", "digest"):
                continue
            if properties.NET.fullmatch(key):
                net = properties.parse_net(key, value)
                net["macaddr"] = properties.new_mac()
                value = properties.show_net(net)
            elif properties.DRIVE.fullmatch(key):
                value = _clone_drive(source, key, value, newid, full, storage)
            result[key] = value
        config.identity(result)
        result |= {k: v for k, v in made.config.items() if k != "lock"}
    except ApiError as error:
        clone_abort(node=node, newid=newid)
        raise ApiError(f"clone failed: {error.message}") from error
    with guests.lock(newid):
        guests.Guest(newid, node, result).save()


def _clone_drive(
    source: guests.Guest, key: str, text: str, newid: int, full: bool, storage: str | None
) -> str:
    drive = properties.parse_drive(key, text)
    file = drive["file"]
    target = storage or (volumes.storage_of(file) if ":" in file else "")
    if config.is_cloudinit(file):
        return properties.show(
            drive | {"file": volumes.allocate_cloudinit(source.node, target, newid)}, "file"
        )
    if config.is_cdrom(drive):
        return text
    print(f"create {'full' if full else 'linked'} clone of drive {key} ({file})", flush=True)
    drive["file"] = volumes.copy(source.node, file, source.node, target, newid, linked=not full)
    drive["size"] = properties.show_size(volumes.size(source.node, drive["file"]))
    print(f"transferred {drive['size']} of {drive['size']} (100.00%)", flush=True)
    return properties.show(drive, "file")


def clone_abort(node: str, newid: int, **_) -> None:
    """As PVE after a failed clone: neither configuration nor volumes are left."""
    for volid in volumes.of_guest(node, newid):
        volumes.free(node, volid)
    guests.Guest(newid, node).remove()
    pools.forget(newid)


def start(node: str, vmid: int, timeout: int | None = None) -> int:
    with guests.lock(vmid):
        guest = guests.load(node, vmid)
        guest.check_lock()
        if machines.running(vmid):
            raise ApiError(f"VM {vmid} already running")
        for drive in config.disks(guest.effective()).values():
            volumes.size(node, drive["file"])  # says which volume is missing
        guest.apply_pending()
        guest.save()
    return machines.start(vmid, timeout or 30)


def stop(vmid: int) -> None:
    machines.kill(vmid)


def shutdown(vmid: int, timeout: int = 180, force: bool = False) -> None:
    if not machines.shutdown(vmid, timeout):
        if not force:
            raise ApiError("VM quit/powerdown failed - got timeout")
        print("VM quit/powerdown failed - terminating now with SIGTERM", flush=True)
        machines.kill(vmid)


def reboot(node: str, vmid: int, timeout: int = 180) -> int:
    shutdown(vmid, timeout)
    return start(node, vmid)


def reset(node: str, vmid: int) -> int:
    machines.kill(vmid)
    return machines.start(vmid, 30)


def nothing() -> None:
    """The work was done before the task: changes to a configuration."""


def resize(node: str, vmid: int, disk: str, size: str) -> None:
    with guests.lock(vmid):
        guest = guests.load(node, vmid)
        guest.check_lock()
        drive = config.drives(guest.config).get(disk)
        if drive is None:
            raise ApiError(f"disk '{disk}' does not exist")
        volid = drive["file"]
        if config.is_cdrom(drive):
            raise ApiError("you can't resize a cdrom")
        if volumes.owner(volid) != vmid:
            raise ApiError(f"Cannot resize {volid}: not owned by this VM")
        old = volumes.size(node, volid)
        new = properties.to_bytes(size.removeprefix("+")) + (old if size.startswith("+") else 0)
        if new < old:
            raise ApiError("shrinking disks is not supported")
        if new > old:
            print(f"update VM {vmid}: resize --disk {disk} --size {size}", flush=True)
            volumes.resize(node, volid, new)
        drive["size"] = properties.show_size(new)
        guest.config[disk] = properties.show(drive, "file")
        guest.save()
        machines.sync(vmid)


def move_disk(node: str, vmid: int, disk: str, storage: str, delete: bool) -> None:
    with guests.lock(vmid):
        guest = guests.load(node, vmid)
        guest.check_lock()
        drive = config.drives(guest.config)[disk]
        old = drive["file"]
        if machines.running(vmid):  # QEMU mirrors the drive; a loop device cannot change its file
            raise ApiError(
                "storage migration failed: mirroring a running machine's disk is not supported here"
            )
        print(f"create full clone of drive {disk} ({old})", flush=True)
        drive["file"] = volumes.copy(node, old, node, storage, vmid)
        guest.config[disk] = properties.show(drive, "file")
        if delete:
            volumes.free(node, old)
        else:
            config._add_unused(guest, old)
        guest.save()


def migrate(node: str, vmid: int, target: str) -> None:
    """Both nodes are this host: the volumes change their folder, and a running machine does not notice."""
    with guests.lock(vmid):
        guest = guests.load(node, vmid)
        guest.check_lock()
        guest.config["lock"] = "migrate"
        guest.save()
    renamed = {}
    try:
        for volid in [*(d["file"] for d in config.drives(guest.effective()).values() if ":" in d["file"]),
                      *(v for k, v in guest.config.items() if properties.UNUSED.fullmatch(k))]:  # fmt: skip
            if volumes.owner(volid) == vmid and volumes.exists(node, volid):
                print(f"found local disk '{volid}' (attached)", flush=True)
                renamed[volid] = volumes.move(node, volid, target, vmid)
    except ApiError as error:
        del guest.config["lock"]
        guest.save()
        raise ApiError(f"migration aborted: {error.message}") from error
    with guests.lock(vmid):
        guest = guests.load(node, vmid)
        del guest.config["lock"]
        moved = guests.Guest(vmid, target, _renamed(guest.config, renamed), _renamed(guest.pending, renamed),
                             guest.pending_delete)  # fmt: skip
        moved.save()
        guest.remove()
    print("migration finished successfully", flush=True)


def _renamed(options: dict, names: dict[str, str]) -> dict:
    def change(value):
        head, comma, tail = str(value).partition(",")
        return f"{names[head]}{comma}{tail}" if head in names else value

    return {key: change(value) for key, value in options.items()}


def destroy(node: str, vmid: int, unreferenced: bool) -> None:
    with guests.lock(vmid):
        guest = guests.load(node, vmid)
        guest.check_lock()
        if machines.running(vmid):
            raise ApiError(f"VM {vmid} is running - destroy failed")
        machines.kill(vmid)  # what a machine whose process was killed left behind
        own = volumes.of_guest(node, vmid)
        values = {str(v).partition(",")[0] for v in (*guest.config.values(), *guest.pending.values())}
        for volid in own:
            if unreferenced or volid in values:
                volumes.free(node, volid)
        guest.remove()
        pools.forget(vmid)


def template(node: str, vmid: int) -> None:
    """Convert a stopped machine: its volumes become base volumes."""
    with guests.lock(vmid):
        guest = guests.load(node, vmid)
        guest.check_lock()
        renamed = {}
        for drive in config.disks(guest.config).values():
            base = re.sub(r"vm-(\d+-disk-)", r"base-\1", drive["file"])
            volumes.path(node, drive["file"]).rename(volumes.path(node, base))
            renamed[drive["file"]] = base
        guest.config = _renamed(guest.config, renamed) | {"template": 1}
        guest.save()


JOBS = {
    "clone": clone, "start": start, "stop": stop, "shutdown": shutdown, "reboot": reboot, "resize": resize,
    "move_disk": move_disk, "migrate": migrate, "destroy": destroy, "template": template,
    "reset": reset, "nothing": nothing,
}  # fmt: skip
# What a task that fails on purpose has to undo.
ABORTS = {"clone": clone_abort}
