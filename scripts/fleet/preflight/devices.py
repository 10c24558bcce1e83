"""What the files say of mapped devices, ISO images and snippets, and Proxmox does not have."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from fleet.findings import Finding
from fleet.proxmox import properties
from fleet.proxmox.client import Client
from fleet.vms.machine import Machine

_MAPPED = {"hostpci": "pci", "usb": "usb", "virtiofs": "dir"}  # the kind of device: that of its mapping


def needs(client: Client, machines: list[Machine], known: Collection[str] = ()) -> list[Finding]:
    """What these machines name and Proxmox lacks; of the `known` ones, which exist, as warnings.

    Asks once for each kind of mapping, and for each storage and node, that a file names. What the token may not see
    is not judged.
    """
    paths = {machine.path for machine in machines if machine.name in known}
    return [
        finding._replace(level="warning") if finding.path in paths else finding
        for finding in (*_mappings(client, machines), *_volumes(client, machines))
    ]


def _mappings(client: Client, machines: list[Machine]) -> Iterator[Finding]:
    for kind, of in _MAPPED.items():
        users = [
            (machine, slot, device.mapping)
            for machine in machines
            for slot, device in getattr(machine.hardware, kind).items()
            if device
        ]
        # Without a right on any mapping a token sees none, which proves nothing.
        entries = client.if_told(f"cluster/mapping/{of}") if users else None
        there = {entry["id"]: _devices_by_node(entry) for entry in entries or ()}
        running: dict[tuple[str, str], list[str]] = {}
        for machine, slot, mapping in users if there else ():
            node, field = machine.target_node, f"{slot}.mapping"
            if mapping not in there:
                message = f"Proxmox has no mapping {mapping} of this kind; it has {', '.join(sorted(there))}"
                yield machine.finding(field, message)
            elif node not in there[mapping]:
                nodes = ", ".join(sorted(there[mapping])) or "no node"
                message = f"{mapping} has no device on {node}, only on {nodes}"
                yield machine.finding(field, message)
            elif kind != "virtiofs" and machine.vm_state == "running":
                first = running.setdefault((mapping, node), [])
                if len(first) >= there[mapping][node]:
                    has = there[mapping][node]
                    message = (
                        f"{mapping} has {has} device{'s' * (has != 1)} on {node}, which {' and '.join(first)} uses"
                        " already; stop one of them, or choose another"
                    )
                    yield machine.finding(field, message)
                first.append(machine.name)


def _devices_by_node(entry: Mapping[str, Any]) -> Counter[str]:
    return Counter(properties.parse(text).get("node", "") for text in entry.get("map") or ())


def _volumes(client: Client, machines: list[Machine]) -> Iterator[Finding]:
    listed: dict[tuple[str, str, str], set[str] | None] = {}
    for machine in machines:
        for field, volume, content in _named(machine):
            storage, node = volume.partition(":")[0], machine.target_node
            key = (node, storage, content)
            if key not in listed:
                found = client.if_told(f"nodes/{node}/storage/{storage}/content", content=content)
                names = None if found is None else {entry["volid"] for entry in found}
                # Without Datastore.Allocate, which no token of this project needs, Proxmox lists no snippets.
                listed[key] = None if content == "snippets" and not names else names
            if (names := listed[key]) is not None and volume not in names:
                names_text = ", ".join(sorted(names)[:8]) or "none"
                yield machine.finding(
                    field, f"{volume} is not on {node}; of this kind {storage} has {names_text}"
                )


def _named(machine: Machine) -> Iterator[tuple[str, str, str]]:
    """(field, volume, kind of content) of each file that a machine names."""
    cdrom, snippets = machine.hardware.cdrom, machine.hardware.cicustom
    if cdrom and ":" in cdrom.file:
        yield "cdrom", cdrom.file, "iso"
    for part, volume in snippets._asdict().items() if snippets else ():
        if volume:
            yield f"cicustom.{part}", volume, "snippets"
