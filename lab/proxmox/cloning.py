"""What Proxmox checks of a clone when it is asked for one, and again when the task begins."""

from typing import NamedTuple

from lab.proxmox import config, guests, machines, state, storages, volumes
from lab.proxmox.errors import ApiError, invalid
from lab.proxmox.guests import Guest


class Clone(NamedTuple):
    node: str
    vmid: int
    newid: int
    full: bool | None  # None: what the machine's being a template says
    storage: str | None
    form: str | None
    target: str | None  # another node
    pool: str | None
    snapname: str | None
    options: dict  # name and description

    def is_full(self, source: Guest) -> bool:
        return not source.template if self.full is None else self.full


def check_places(wanted: Clone) -> None:
    """Whether there is such a node, and a storage that can take the disks."""
    if wanted.target and wanted.target not in state.NODES:
        raise ApiError(f"no such cluster node '{wanted.target}'")
    if wanted.storage:
        if not storages.holds(wanted.storage, "images"):
            raise invalid(storage=f"storage '{wanted.storage}' does not support vm images")
        if wanted.target and not storages.shared(wanted.storage):
            raise ApiError(f"can't clone to non-shared storage '{wanted.storage}'")


def source(wanted: Clone) -> Guest:
    """The machine that is cloned, if it can be cloned in the way that is asked for."""
    guest = guests.load(wanted.node, wanted.vmid)
    guest.check_lock()
    if wanted.snapname:
        raise ApiError(f"snapshot '{wanted.snapname}' does not exist")
    if not wanted.is_full(guest):
        for name, value in (("storage", wanted.storage), ("format", wanted.form)):
            if value:
                raise ApiError(f"parameter '{name}' not allowed for linked clones")
    return guest


def check_unused(wanted: Clone) -> None:
    if Guest(wanted.newid, wanted.node).path.exists():
        raise ApiError(f"unable to create VM {wanted.newid}: config file already exists")


def check(guest: Guest, wanted: Clone) -> None:
    """Whether each volume can be cloned so, and be where it is needed."""
    drives, full = config.drives(guest.config), wanted.is_full(guest)
    for drive in drives.values():
        if wanted.target and ":" in drive["file"] and not storages.shared(volumes.storage_of(drive["file"])):
            raise ApiError(f"can't clone VM to node '{wanted.target}' (VM uses local storage)")
    if full and "tpmstate0" in drives and machines.running(guest.vmid):
        raise ApiError("cannot clone TPM state while VM is running")
    for slot, drive in config.disks(guest.config).items():
        if full or slot == "tpmstate0":
            continue
        bases = storages.kind(volumes.storage_of(drive["file"])).bases
        if not (bases and volumes.parse(drive["file"]).is_base):
            raise ApiError(f"Linked clone feature is not supported for '{drive['file']}' ({slot})")
