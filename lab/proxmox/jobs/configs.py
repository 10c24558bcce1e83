"""New machines, and changes to the configuration of machines."""

from lab.proxmox import config, guests, machines, pools, tasks, update
from lab.proxmox.errors import ApiError
from lab.proxmox.guests import Guest


def create(node: str, vmid: int, options: dict, pool: str | None, start: bool, user: str) -> None:
    """Fill the locked configuration of a new machine; where that fails, nothing of it is left."""
    guest = Guest(vmid, node)
    try:
        with guests.lock(vmid, 1):
            config.identity(guest.config)
            guest.config |= {"template": 1} if options.get("template") else {}
            update.apply(guest, options, [], False, "qmcreate")
            if "boot" not in guest.config:
                guest.config["boot"] = config.default_boot(guest.config)
            guest.save()
            if pool:
                pools.change(pool, [vmid])
    except ApiError as error:
        create_abort(node, vmid)
        raise ApiError(f"unable to create VM {vmid} - {error.message}") from error
    if start:
        print("Execute autostart", flush=True)
        tasks.start(node, "qmstart", vmid, user, "start", node=node, vmid=vmid)


def create_abort(node: str, vmid: int, **_) -> None:
    Guest(vmid, node).remove()


def checked(node: str, vmid: int, digest: str | None, skiplock: bool) -> Guest:
    """The machine, if its configuration may be changed now."""
    guest = guests.load(node, vmid)
    if digest and digest != guest.digest():
        raise ApiError("checksum mismatch (file change by other user?)")
    if not skiplock:
        guest.check_lock()
    return guest


def change(
    node: str,
    vmid: int,
    options: dict,
    delete: list,
    revert: list,
    digest: str | None,
    skiplock: bool,
    step: str = "",
) -> None:
    shown = {key: "<hidden>" if key == "cipassword" else value for key, value in options.items()}
    print(
        f"update VM {vmid}: " + " ".join(f"-{key} {value}" for key, value in sorted(shown.items())),
        flush=True,
    )
    with guests.lock(vmid):
        guest = checked(node, vmid, digest, skiplock)
        for key in revert:
            guest.pending.pop(key, None)
            guest.pending_delete = [k for k in guest.pending_delete if k != key]
        update.apply(guest, options, delete, bool(machines.running(vmid)), step)
        guest.save()
        machines.sync(vmid)
