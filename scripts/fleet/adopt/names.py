"""Names of guests: Proxmox allows some that no machine of this project can have."""

import re
from collections.abc import Container

from fleet import names
from fleet.proxmox.guest import Guest
from fleet.rules.naming import LABEL


def problem(guest: Guest, taken: Container[str]) -> str:
    """Why a guest's name can be no machine's, with another name and how the guest gets it; "" for one that can.

    `taken`: names that others have.
    """
    name = guest.name
    if not name or name == f"VM {guest.vmid}":
        why = "has no name"
    elif not LABEL.fullmatch(name):
        why = (
            "is no name of a machine (lower-case letters, digits and inner hyphens, with at least one letter)"
        )
    elif name in names.RESERVED:
        why = "has a meaning of its own in Ansible"
    elif not names.managed(name):
        why = "is a machine outside this automation (fleet/names.py)"
    else:
        return ""
    way_out = (
        f"rename the guest with `qm set {guest.vmid} --name {proposed(guest, taken)}`; at its next start cloud-init"
        " then sets it up as another machine, with new SSH host keys"
    )
    return f"{name} {why}; {way_out}" if name else f"{why}; {way_out}"


def proposed(guest: Guest, taken: Container[str]) -> str:
    """The nearest name that a machine can have and nobody else has."""
    label = re.sub(r"[^a-z0-9]+", "-", guest.name.lower()).strip("-")[:50].strip("-")
    if not LABEL.fullmatch(label):
        label = f"vm-{label or guest.vmid}"
    if label in taken or label in names.RESERVED or not names.managed(label):
        label = f"{label}-{guest.vmid}"
    return label
