"""What others have of what the machines of `.env` ask for: the fleet's files, Terraform's state, guests in Proxmox."""

import concurrent.futures
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from fleet.deploy.wanted import Wanted, address_of
from fleet.findings import Fault, printable
from fleet.lifecycle import machine, owner
from fleet.lifecycle.machine import Found
from fleet.paths import VMS_DIR
from fleet.proxmox.client import Client
from fleet.proxmox.guest import Guest
from fleet.proxmox.tls import CONNECTIONS
from fleet.rules import taken
from fleet.terraform import outputs
from fleet.vms import addresses, files


class Others(NamedTuple):
    """Who has an address, a name or a VMID, in words. `marked`: the guests that the role made, or that say so."""

    addresses: Mapping[str, str]
    names: Mapping[str, str]
    vmids: Mapping[int, str]
    marked: Sequence[Found]


def look(api: Client, cluster: Sequence[Guest], say: Callable[[str], None]) -> Others:
    """Guests that the role did not make are looked at in the cluster's list alone: a list has no addresses."""
    by_terraform = _outputs(say)
    marked = read_marked(api, cluster, say)
    places = {one.address: f"that of {name} in Terraform's outputs" for name, one in by_terraform.items()}
    endpoint = {urlsplit(api.url).hostname or "": "that of Proxmox's API (PROXMOX_VE_ENDPOINT)"}
    for one in marked:
        for interface in _interfaces(one):
            places.setdefault(interface, f"that of {one.label}")
    return Others(
        addresses={**places, **endpoint, **taken.addresses(files.load_dir(VMS_DIR)[0].values())},
        names={name: f"VMID {one.vmid} on {one.node}" for name, one in by_terraform.items()},
        vmids={one.vmid: f"{name} in Terraform's outputs" for name, one in by_terraform.items() if one.vmid},
        marked=marked,
    )


def read_marked(api: Client, cluster: Iterable[Guest], say: Callable[[str], None]) -> list[Found]:
    """The configurations of the guests with the role's tag, and of those so new that the list has no name of them."""
    near = [guest for guest in cluster if not guest.container and not guest.template and _is_near(guest)]

    def read(guest: Guest) -> Found | None:
        try:
            return machine.read(api, guest)
        except Fault as fault:  # its node is offline, or it went away
            say(f"{guest.name or f'VMID {guest.vmid}'} could not be looked at: {fault}")
            return None

    with concurrent.futures.ThreadPoolExecutor(CONNECTIONS) as pool:
        return [found for found in pool.map(read, near) if found]


def _is_near(guest: Guest) -> bool:
    return owner.TAG in guest.tags or guest.name in ("", f"VM {guest.vmid}")


def _outputs(say: Callable[[str], None]) -> Mapping[str, outputs.Machine]:
    """The machines that Terraform made, where its state is known here; else only Proxmox's tags and notes tell."""
    if not os.environ.get("PG_CONN_STR"):
        return {}
    try:
        return outputs.machines(outputs.load(None))
    except Fault as fault:
        words = re.sub(r"\x1b\[[0-9;]*m", "", str(fault))
        reason = printable((re.search(r"Error: (.*)", words) or re.search(r"(.*)", words))[1])
        say(f"Terraform's outputs are not compared: {reason}")
        return {}


def _interfaces(one: Found) -> Iterator[str]:
    for name, value in one.config.items():
        if name.startswith("ipconfig"):
            yield from (str(interface.ip) for interface in addresses.parse(str(value))[0].interfaces)


def problems(one: Wanted, others: Others, cluster: Sequence[Guest]) -> Iterator[str]:
    """Why this machine cannot be what it is to be, each with the owner of what it asks for."""
    name, vmid = one.name, one.spec.vmid
    mine = [guest for guest in cluster if guest.name == name and not guest.container]
    if name in others.names:
        yield f"is a machine of Terraform ({others.names[name]}): take it out of VM_NAMES, or out of proxmox/vms/"
    for guest in cluster:
        kind = "the container " if guest.container else "the template " if guest.template else ""
        who = f"{kind}{guest.name or 'a machine'}"
        if guest.container and guest.name == name:
            yield f"is the name of {who} too (VMID {guest.vmid} on {guest.node}): choose another in VM_NAMES"
        if guest.vmid == vmid and (guest.container or guest.name not in (name, "", f"VM {vmid}")):
            yield f"is to get VMID {vmid}, which {who} on {guest.node} has: choose another in VM_IDS"
        elif guest.name == name and vmid not in (None, guest.vmid) and guest in mine:
            yield (
                f"is VMID {guest.vmid} on {guest.node}, and VM_IDS says {vmid}: write {guest.vmid} there, or choose"
                " another name"
            )
    if vmid in others.vmids:
        yield f"is to get VMID {vmid}, which belongs to {others.vmids[vmid]}: choose another in VM_IDS"
    address = address_of(one.spec)
    own = {f"that of {found.label}" for found in others.marked if found.config.get("name") == name}
    if address in others.addresses and others.addresses[address] not in own:
        yield f"is to get {address}, which is {others.addresses[address]}: choose another in VM_ADDRESSES"
    if not mine:
        yield from _renamed(name, others.marked)


def _renamed(name: str, marked: Iterable[Found]) -> Iterator[str]:
    for found in marked:
        has = str(found.config.get("name") or "")
        if has and has != name and owner.named(found.config) == name:
            yield (
                f"was made as VMID {found.guest.vmid} on {found.guest.node}, which is called {has} now, so a second one"
                f" is not made: rename it to {name}; or if it is to stay {has}, remove the line `ansible-vm: {name}`"
                f" from its notes, and write {has} in VM_NAMES"
            )
