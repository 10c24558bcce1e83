"""Machines that become templates."""

from lab.proxmox import allocation, config, faults, guests, machines, properties
from lab.proxmox.errors import ApiError


def check(node: str, vmid: int, disk: str | None) -> guests.Guest:
    """The machine, if it may become a template, or one disk of it a base volume."""
    guest = guests.load(node, vmid)
    guest.check_lock()
    if guest.template and not disk:
        raise ApiError("you can't convert a template to a template")
    if machines.running(vmid):
        raise ApiError("you can't convert a VM to template if VM is running")
    return guest


def template(node: str, vmid: int, disk: str | None) -> None:
    """The flag comes first, then one disk after the other: what is killed in between is a template by name."""
    with guests.lock(vmid):
        guest = check(node, vmid, disk)
        guest.config["template"] = 1
        guest.save()
        faults.meet(f"STEP qmtemplate:{vmid} flag")
        drives = config.drives(guest.config)
        for slot in [slot for slot in config.SLOTS if slot in drives]:
            drive = drives[slot]
            if config.is_cdrom(drive) or disk not in (None, slot) or ":" not in drive["file"]:
                continue
            guest.config[slot] = properties.show(
                drive | {"file": allocation.to_base(node, drive["file"])}, "file"
            )
            guest.save()
            faults.meet(f"STEP qmtemplate:{vmid} {slot}")
