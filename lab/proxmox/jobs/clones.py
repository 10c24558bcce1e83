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
from lab.proxmox.cloning import Clone, check, check_unused, source
from lab.proxmox.errors import ApiError
from lab.proxmox.guests import Guest


def reserve(**arguments) -> None:
    """Take the VMID, which only the task does: whoever comes second fails here, after his request was accepted."""
    wanted = Clone(**arguments)
    with guests.lock(wanted.newid, 1):
        guests.race(wanted.newid, wanted.node, late=True)
        guest = source(wanted)
        check_unused(wanted)
        try:
            guests.check_unused(wanted.newid)  # on another node, or a container
        except ApiError:
            file = f"/etc/pve/nodes/{wanted.node}/qemu-server/{wanted.newid}.conf"
            raise ApiError(f"close (rename) atomic file '{file}' failed: File exists") from None
        name = f"Copy-of-VM-{guest.config.get('name', guest.vmid)}"
        # Proxmox tells the name from the first disk on only.
        Guest(wanted.newid, wanted.node, {"lock": "clone", "name": name, **wanted.options}).save()


def clone(**arguments) -> None:
    """Fill the locked configuration of the new machine, disk by disk; where that fails, nothing of it is left."""
    wanted = Clone(**arguments)
    shared = not machines.running(wanted.vmid)
    try:
        with guests.lock(wanted.vmid, 1, shared), guests.lock(wanted.newid, 1):
            guest = source(wanted)
            check(guest, wanted)
            print(f"creating a clone of VM {wanted.vmid} with ID {wanted.newid}", flush=True)
            tasks.interrupted("interrupted by signal")
            _fill(guest, guests.load(wanted.node, wanted.newid), wanted)
    except ApiError:
        clone_abort(**arguments)
        raise


def _fill(guest: Guest, made: Guest, wanted: Clone) -> None:
    drives = {
        slot: drive for slot, drive in sorted(config.drives(guest.config).items())
        if ":" in drive["file"] and (not config.is_cdrom(drive) or config.is_cloudinit(drive["file"]))
    }  # fmt: skip
    kept = config.cloned(guest.config) | made.config
    made.config = {key: value for key, value in kept.items() if key not in drives}
    volids: list[str] = []
    try:
        for slot, drive in drives.items():
            made.config[slot] = properties.show(_volume(guest, slot, drive, wanted, volids), "file")
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
    Guest(newid, node).remove()
