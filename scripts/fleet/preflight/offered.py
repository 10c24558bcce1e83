"""Which template a machine is cloned from, of those that Proxmox has by then.

A rebuilt template takes over the name of the one before it. In between there may be none of that name, or two of it;
machines that exist are not concerned, since Terraform never looks at their template again.
"""

import difflib
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from fleet.findings import Finding
from fleet.proxmox import disks
from fleet.proxmox.client import Guest
from fleet.vms.machine import Machine


def template_of(machine: Machine, cluster: Iterable[Guest]) -> Guest | None:
    """The template of that name on the machine's node, else the only one elsewhere; proxmox/modules/vm takes it too.

    Two of one name on a node, which is against the rule, are the newest and one before it.
    """
    named = [guest for guest in cluster if guest.is_offered and guest.name == machine.clone]
    here = [guest for guest in named if guest.node == machine.target_node]
    if here:
        return max(here)
    return named[0] if len(named) == 1 else None


def none_offered(machine: Machine, cluster: Collection[Guest]) -> Finding:
    """Why `template_of` finds none."""
    name = machine.clone
    known = {guest.name: guest for guest in cluster if guest.template and not guest.container}
    named = [guest for guest in cluster if guest.template and guest.name == name and not guest.container]
    offered = [guest for guest in named if guest.is_offered]
    by_number = next((guest.name for guest in known.values() if str(guest.vmid) == name), "")
    if offered:
        message = (
            f"{machine.target_node} has no template {name}, and {_places(offered)} have one each; build one with"
            f" {build_command(name, machine.target_node)}, or choose one of these nodes as target_node"
        )
    elif named:
        message = (
            f"Proxmox has {name} only as a template that is being built or was replaced ({_places(named)}); wait until"
            f" its build has ended, or run {build_command(name)}"
        )
    elif by_number:
        message = f"{name} is a VMID; write the template's name, {by_number}"
    else:
        names = sorted({guest.name for guest in known.values() if guest.is_offered})
        close = difflib.get_close_matches(name, names, 1, 0.75)
        meant = f"; did you mean {close[0]}?" if close else ""
        message = f"Proxmox has no template {name}; it has {', '.join(names) or 'none'}{meant}"
        message += (
            f"; build it with {build_command(name)}" if name.endswith("-template") and not close else ""
        )
    return machine.finding("clone", message)


def half_converted(
    machine: Machine, template: Guest, config: Mapping[str, Any], storages: Mapping[str, Mapping[str, Any]]
) -> list[Finding]:
    """Whether a conversion was cut off. `storages`: those of the template's node."""
    for slot, volume in disks.unconverted(config, storages).items():
        if slot in ("efidisk0", "tpmstate0"):  # of a hand-made template; a full clone copies it in any case
            continue
        message = (
            f"{slot} of template {template.name} (VMID {template.vmid} on {template.node}) is {volume}, and no"
            f" base image: its conversion was cut off; repair it with {build_command(template.name)}, or on"
            f" {template.node} with `qm set {template.vmid} --template 0` and `qm template {template.vmid}`"
        )
        return [machine.finding("clone", message)]
    return []


def _places(guests: Iterable[Guest]) -> str:
    return " and ".join(f"{guest.node} (VMID {guest.vmid})" for guest in guests)


def build_command(name: str, node: str = "") -> str:
    """The command that builds a template; of one that is called otherwise, nobody knows the image."""
    image = name.removesuffix("-template") if name.endswith("-template") else "NAME"
    return f"`make template IMAGE={image}{f' NODE={node}' if node else ''}`"
