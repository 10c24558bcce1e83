"""What must exist in Proxmox before a machine can be made: node, template, storages, bridge."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fleet.console import note
from fleet.findings import Finding
from fleet.preflight import offered
from fleet.preflight.template import conflicts, linked
from fleet.proxmox.client import Client, Guest
from fleet.proxmox.properties import disk_mib
from fleet.vms.hardware import NONE
from fleet.vms.machine import Disk, Machine
from fleet.vms.values import slot_order


def needs(client: Client, cluster: list[Guest], machines: Mapping[str, Machine]) -> list[Finding]:
    """What these new machines ask for and Proxmox does not have."""
    if not machines:
        return []
    findings: list[Finding] = []
    nodes = client.nodes()
    for machine in machines.values():
        node = machine.target_node
        if node not in nodes:
            message = f"{node} is not a node of the cluster, which has {_list(nodes)}"
            findings.append(machine.finding("target_node", message))
            continue
        if not nodes[node]:
            findings.append(
                machine.finding("target_node", f"{node} is offline; start it, or choose another node")
            )
            continue
        findings += _template_fits(client, cluster, machine)
        storages = client.storages(node)
        for field, storage in _storages(machine):
            if storages is not None and "images" not in _content(storages, storage):
                able = [name for name in storages if "images" in _content(storages, name)]
                message = f"{storage} cannot hold disks on {node}; {_list(able)} can"
                findings.append(machine.finding(f"{field}.storage", message))
        bridges = client.bridges(node)
        for field, card in {"network": machine.network, **machine.hardware.net}.items():
            if bridges is not None and card and card.bridge not in bridges:
                message = f"{node} has no bridge {card.bridge}; it has {_list(bridges)}"
                findings.append(machine.finding(f"{field}.bridge", message))
    return findings


def _storages(machine: Machine) -> Iterator[tuple[str, str]]:
    """(field, storage) of each volume that a machine gets."""
    for disk in machine.disks:
        yield f"disks.{disk.slot}", disk.storage
    for field in ("efidisk", "tpmstate", "cloudinit"):
        part = getattr(machine.hardware, field)
        if part and part.storage:
            yield field, part.storage


def _template_fits(client: Client, cluster: list[Guest], machine: Machine) -> list[Finding]:
    if machine.clone == NONE:
        return []
    template = offered.template_of(machine, cluster)
    if template is None:
        return [offered.none_offered(machine, cluster)]
    note(f"{machine.name}: template {template.name} is VMID {template.vmid} on {template.node}")
    config, storages = client.config(template.node, template.vmid), client.storages(template.node) or {}
    findings = offered.half_converted(machine, template, config, storages)
    if problem := _protected(config, machine):
        message = (
            f"template {template.name} is protected, which its clones inherit: {problem}; run"
            f" `qm set {template.vmid} --protection 0` on {template.node}"
        )
        findings.append(machine.finding("clone", message))
    findings += conflicts(machine, template, config)
    listed = {disk.slot for disk in machine.disks}
    for disk in disks_of(config):
        if listed and disk.slot not in listed:
            message = (
                f"template {template.name} has a disk {disk.slot}, which its clones keep; add"
                f" `{disk.slot}: {{size: {disk.size}G}}`"
            )
            findings.append(machine.finding("disks", message))
    if not machine.full_clone:
        findings += linked(machine, config, storages)
    for disk in machine.disks:
        has = disk_mib(str(config.get(disk.slot, "")))
        if has > disk.size * 1024:
            message = f"is {disk.size}G, but the template's disk has {has / 1024:g}G, and disks never shrink"
            findings.append(machine.finding(f"disks.{disk.slot}.size", message))
    return findings


def _protected(config: Mapping[str, Any], machine: Machine) -> str:
    """Why a clone of this template would fail or differ from its file; "" where the protection does no harm."""
    if not int(config.get("protection") or 0):
        return ""
    if any(slot == "ide2" or "cloudinit" in str(value) for slot, value in config.items()):
        return "Proxmox would refuse to replace the cloud-init drive of the clone"
    return (
        ""
        if machine.protection
        else f"{machine.name} could not be destroyed, though its file does not say so"
    )


def disks_of(config: Mapping[str, Any]) -> tuple[Disk, ...]:
    """The disks of a guest's or a template's configuration."""
    found = (
        Disk(slot, math.ceil(disk_mib(volume) / 1024), volume.split(":", 1)[0])
        for slot, volume in config.items()
        if re.fullmatch(r"(scsi|virtio|sata)\d+", slot) and "media=cdrom" not in volume
    )
    return tuple(sorted(found, key=lambda disk: slot_order(disk.slot)))


def _content(storages: Mapping[str, dict[str, Any]], name: str) -> list[str]:
    return storages.get(name, {}).get("content", "").split(",")


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
