"""What happens to a machine's volumes: growing, moving to another storage or node, destroying."""

from lab.proxmox import (
    access,
    allocation,
    attach,
    config,
    guests,
    ha,
    machines,
    pools,
    properties,
    storages,
    volumes,
)
from lab.proxmox.errors import ApiError
from lab.proxmox.jobs import configs


def resize(node: str, vmid: int, disk: str, size: str, digest: str | None, skiplock: bool, user: str) -> None:
    with guests.lock(vmid):
        guest = configs.checked(node, vmid, digest, skiplock)
        drive = config.drives(guest.config).get(disk)
        if drive is None:
            raise ApiError(f"disk '{disk}' does not exist")
        volid = drive["file"]
        if config.is_cdrom(drive):
            raise ApiError("you can't resize a cdrom")
        access.check(access.Caller(user), f"/storage/{volumes.storage_of(volid)}", "Datastore.AllocateSpace")
        old = volumes.size(node, volid)
        new = properties.to_bytes(size.removeprefix("+")) + (old if size.startswith("+") else 0)
        if new < old:
            raise ApiError("shrinking disks is not supported")
        if new == old:
            return
        print(f"update VM {vmid}: resize --disk {disk} --size {size}", flush=True)
        allocation.resize(node, volid, new)
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
        drive["file"] = allocation.copy(node, old, node, storage, vmid)
        guest.config[disk] = properties.show(drive, "file")
        if delete:
            allocation.free(node, old)
        else:
            attach.add_unused(guest, old)
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
            local = not storages.shared(volumes.storage_of(volid))
            if local and volumes.owner(volid) == vmid and volumes.exists(node, volid):
                print(f"found local disk '{volid}' (attached)", flush=True)
                renamed[volid] = allocation.move(node, volid, target, vmid)
    except ApiError as error:
        del guest.config["lock"]
        guest.save()
        raise ApiError(f"migration aborted: {error.message}") from error
    with guests.lock(vmid):
        guest = guests.load(node, vmid)
        del guest.config["lock"]
        current, pending = (guests.renamed(options, renamed) for options in (guest.config, guest.pending))
        moved = guests.Guest(vmid, target, current, pending, guest.pending_delete)
        moved.save()
        guest.remove()
    print("migration finished successfully", flush=True)


def check_destroy(node: str, vmid: int, purge: bool) -> guests.Guest:
    """The machine, if it may be destroyed; a lock is looked at in the task only."""
    guest = guests.load(node, vmid)
    if guest.config.get("protection"):
        raise ApiError(f"can't remove VM {vmid} - protection mode enabled")
    if ha.manages(vmid) and not purge:
        raise ApiError(f"unable to remove VM {vmid} - used in HA resources and purge parameter not set.")
    if machines.running(vmid):
        raise ApiError(f"VM {vmid} is running - destroy failed")
    return guest


def destroy(node: str, vmid: int, purge: bool, unreferenced: bool) -> None:
    with guests.lock(vmid):
        guest = check_destroy(node, vmid, purge)
        guest.check_lock()
        named = {str(v).partition(",")[0] for v in (*guest.config.values(), *guest.pending.values())}
        own = volumes.of_guest(node, vmid)
        for volid in own if guest.template else ():
            if volid in named and allocation.used_as_base(node, volid):
                raise ApiError(f"base volume '{volid}' is still in use by linked cloned")
        machines.kill(vmid)  # remains of a machine whose process was killed
        for volid in own:
            if unreferenced or volid in named:
                allocation.free(node, volid)
        if purge:
            print(f"purging VM {vmid} from related configurations..", flush=True)
            if ha.manages(vmid):
                ha.remove(str(vmid))
                print(f"NOTE: removed VM {vmid} from HA resource configuration.", flush=True)
        guest.remove()
        pools.forget(vmid)


def delete_volume(node: str, volid: str) -> None:
    if not volumes.exists(node, volid):
        print(f"disk image '{volumes.path(node, volid)}' does not exist", flush=True)
    allocation.free(node, volid)
    print(f"Removed volume '{volid}'", flush=True)
