"""What happens to a machine's volumes: growing, moving to another storage or node, destroying."""

from lab.proxmox import allocation, attach, config, guests, machines, pools, properties, storages, volumes
from lab.proxmox.errors import ApiError


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


def destroy(node: str, vmid: int, unreferenced: bool) -> None:
    with guests.lock(vmid):
        guest = guests.load(node, vmid)
        guest.check_lock()
        if machines.running(vmid):
            raise ApiError(f"VM {vmid} is running - destroy failed")
        machines.kill(vmid)  # remains of a machine whose process was killed
        own = volumes.of_guest(node, vmid)
        values = {str(v).partition(",")[0] for v in (*guest.config.values(), *guest.pending.values())}
        for volid in own:
            if unreferenced or volid in values:
                allocation.free(node, volid)
        guest.remove()
        pools.forget(vmid)


def delete_volume(node: str, volid: str) -> None:
    if not volumes.exists(node, volid):
        print(f"disk image '{volumes.path(node, volid)}' does not exist", flush=True)
    allocation.free(node, volid)
    print(f"Removed volume '{volid}'", flush=True)
