"""Machines that are made from a cloud image: which build of it, on which storage, and what must fit before.

One that exists keeps its disk, whatever the catalogue and the lock say by now.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from fleet.console import note
from fleet.findings import Fault, Finding
from fleet.images import catalogue, download, lock, volume
from fleet.images.lock import Locked
from fleet.proxmox import rights
from fleet.proxmox.client import Client
from fleet.vms.machine import Disk, Machine
from fleet.vms.values import system_disk

OFFLINE = "local"  # the storage that every node has; offline none can be asked for


class Source(NamedTuple):
    """What a new machine's disk with the system is made of."""

    machine: Machine
    image: Locked
    storage: str

    @property
    def volume(self) -> str:
        return f"{self.storage}:import/{self.image.file}"

    @property
    def disk(self) -> Disk:
        disks = {disk.slot: disk for disk in self.machine.disks}
        booted = next((slot for slot in self.machine.boot if slot in disks), None)
        return disks[booted or system_disk(disks) or next(iter(disks))]

    def filled(self) -> tuple[Disk, ...]:
        """The machine's disks, with the volume that one is made of."""
        made = self.disk._replace(import_from=self.volume)
        return tuple(made if disk.slot == made.slot else disk for disk in self.machine.disks)


def sources(
    client: Client | None,
    wanted: Mapping[str, Machine],
    exist: Mapping[str, Iterable[Mapping[str, Any]]],
    catalogue_file: Path,
) -> tuple[dict[str, Source], list[Finding]]:
    """The source of each new machine that has an image, and what is wrong; `client` None: offline.

    `exist`: the machines that are there, each with the disks that the provider recorded.
    """
    found: dict[str, Source] = {}
    findings: list[Finding] = []
    named = {name: machine for name, machine in wanted.items() if machine.image}
    nodes = client.nodes() if client and named.keys() - exist.keys() else {}
    for name, machine in named.items():
        try:
            if name in exist:
                findings += _no_effect(machine, exist[name], catalogue_file)
            elif client is None or nodes.get(machine.target_node):  # else `needs` tells of the node
                image = lock.locked(machine.image or "", catalogue_file)
                storage = volume.choose(client, machine.target_node, image) if client else OFFLINE
                found[name] = Source(machine, image, storage)
                findings += _fits(found[name])
                findings += _on_storage(client, found[name]) if client else []
        except Fault as fault:
            if name not in exist:
                findings.append(machine.finding("image", fault.finding.text()))
    return found, findings


def too_small(client: Client, source: Source) -> list[Finding]:
    """Whether the disk is smaller than an image that is on the storage; only there Proxmox knows the image's size."""
    node, disk = source.machine.target_node, source.disk
    entry = client.get(f"nodes/{node}/storage/{source.storage}/content/{quote(source.volume, safe='')}")
    gib = int(entry["size"]) / 2**30
    if gib <= disk.size:
        return []
    message = f"is {disk.size}G, but the image {source.image.name} has {gib:.4g}G, and disks never shrink"
    return [source.machine.finding(f"disks.{disk.slot}.size", message)]


def _on_storage(client: Client, source: Source) -> list[Finding]:
    """Say what the machine is made of, and look at what is there, or at the right to bring it."""
    node, image = source.machine.target_node, source.image
    there = volume.find(client, node, source.storage, image)
    missing = "" if there else ", which the apply downloads"
    note(f"{source.machine.name}: image {image.name} is {source.volume}{missing}")
    if there:
        return too_small(client, source)
    lacking = rights.missing(client, download.needed(node, source.storage))
    return [source.machine.finding("image", text) for text in lacking]


def _no_effect(
    machine: Machine, disks: Iterable[Mapping[str, Any]], catalogue_file: Path
) -> Iterator[Finding]:
    """What to say where the file names another image by now. A clone has no record of one."""
    made_of = [str(disk["import_from"]) for disk in disks if disk.get("import_from")]
    image = catalogue.find(catalogue.read(catalogue_file), machine.image or "") if made_of else None
    if image and not any(f":import/{image.name}-" in one for one in made_of):
        message = f"is {image.name}, but the machine was made of {made_of[0]}; it concerns a new machine only"
        yield machine.finding("image", message, "warning")


def _fits(source: Source) -> Iterator[Finding]:
    """What the catalogue says of an image that the file does not go with."""
    machine, image = source.machine, source.image
    if image.firmware == "ovmf" and machine.hardware.bios != "ovmf":
        way_out = "add `bios: ovmf` and `efidisk: {storage: local-lvm}`"
        yield machine.finding("bios", f"the image {image.name} starts with UEFI only; {way_out}")
    # A snippet may put the agent in.
    if machine.agent and not image.agent and not machine.hardware.cicustom:
        message = (
            f"the image {image.name} has no guest agent: clone the template that `make template IMAGE={image.name}`"
            f" builds with it (clone: {image.name}-template), set agent: false, or install it by a snippet (cicustom)"
        )
        leased = machine.ipconfig0.automatic4 and not machine.address
        also = "; without it nobody learns the address that DHCP gives" if leased else ""
        yield machine.finding("agent", message + also, "error" if leased else "warning")
