"""The task that fills a clone."""

from lab.proxmox import (
    allocation,
    attach,
    config,
    faults,
    guests,
    machines,
    pools,
    properties,
    tasks,
    volumes,
)
from lab.proxmox.cloning import Clone, check, source
from lab.proxmox.errors import ApiError
from lab.proxmox.guests import Guest


def clone(**arguments) -> None:
    """Fill the locked configuration of the new machine, disk by disk; where that fails, nothing of it is left."""
    wanted = Clone(**arguments)
    running = bool(machines.running(wanted.vmid))
    try:
        with guests.lock(wanted.vmid, 1, shared=not running), guests.lock(wanted.newid, 1):
            guest = source(wanted)
            check(guest, wanted)
            print(f"creating a clone of VM {wanted.vmid} with ID {wanted.newid}", flush=True)
            if not Guest(wanted.newid, wanted.node).path.exists():
                file = f"/etc/pve/nodes/{wanted.node}/qemu-server/{wanted.newid}.conf"
                raise ApiError(f"close (rename) atomic file '{file}' failed: File exists")
            tasks.interrupted("interrupted by signal")
            _fill(guest, guests.load(wanted.node, wanted.newid), wanted)
    except ApiError:
        clone_abort(**arguments)
        raise


def _fill(guest: Guest, made: Guest, wanted: Clone) -> None:
    kept = dict(made.config)
    made.config = config.cloned(guest.config) | kept
    drives, volids = config.drives(guest.config), []
    try:
        for slot in sorted(drives):
            if ":" in (file := drives[slot]["file"]) and (
                not config.is_cdrom(drives[slot]) or config.is_cloudinit(file)
            ):
                made.config[slot] = properties.show(
                    _volume(guest, slot, drives[slot], wanted, volids), "file"
                )
                made.save()
                faults.meet(f"STEP qmclone:{wanted.vmid} {slot}")
    except ApiError as error:
        for volid in volids:
            allocation.free(wanted.node, volid)
        raise ApiError(f"clone failed: {error.message}") from error
    if guest.pending:
        print(f"found pending changes for '{','.join(guest.pending)}', discarding for clone", flush=True)
    del made.config["lock"]
    if wanted.target:
        Guest(made.vmid, wanted.target, made.config).save()
        made.remove()
    else:
        made.save()
    if wanted.pool:
        pools.change(wanted.pool, [made.vmid])


def _volume(guest: Guest, slot: str, drive: dict, wanted: Clone, volids: list[str]) -> dict:
    """A drive of the new machine; its volume joins `volids`."""
    file, node = drive["file"], wanted.node
    storage = wanted.storage or volumes.storage_of(file)
    seed = config.is_cloudinit(file)
    full = seed or wanted.is_full(guest) or slot == "tpmstate0"
    print(f"create {'full' if full else 'linked'} clone of drive {slot} ({file})", flush=True)
    if seed:
        volids.append(allocation.allocate_cloudinit(node, storage, wanted.newid))
    elif full:
        length = attach.efi_size(drive.get("efitype", "2m")) if slot == "efidisk0" else 0
        volids.append(allocation.copy(node, file, node, storage, wanted.newid, wanted.form or "", length))
    else:
        volids.append(allocation.link(node, file, wanted.newid))
    return drive | {"file": volids[-1], "size": properties.show_size(volumes.size(node, volids[-1]))}


def clone_abort(node: str, newid: int, **_) -> None:
    """The configuration that was made for a clone goes with it; one of somebody else's stays."""
    try:
        made = guests.load(node, newid)
    except ApiError:
        return
    if made.config.get("lock") == "clone":
        made.remove()
