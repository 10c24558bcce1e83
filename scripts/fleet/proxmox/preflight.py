"""What has to be in Proxmox before a machine can be made, and what a killed apply left there."""

import math
import re
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from fleet.console import note
from fleet.findings import Fault, Finding
from fleet.proxmox.client import Client, Machine
from fleet.terraform.tfvars import STORAGE, gibibytes, ipconfig, mark
from fleet.vms.files import VM

_BUSY = ("clone", "create", "migrate", "disk")


def orphans(
    client: Client,
    cluster: Iterable[Machine],
    wanted: Mapping[str, VM],
    wait: float = 600,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[dict[str, Machine], list[Finding]]:
    """Find the machines of `wanted` (those without a state) that Proxmox has nevertheless.

    Ours is what carries the mark in its description, or what has the very name and VMID that a file gives.
    Waits up to `wait` seconds for a clone that still runs. Returns ({name: machine}, what is in the way).
    """
    found: dict[str, Machine] = {}
    findings: list[Finding] = []
    for name, vm in wanted.items():
        ours: list[Machine] = []
        strangers: list[Machine] = []
        for machine in cluster:
            # A machine that is seconds old has no name yet in the cluster's list.
            if machine.template or machine.container or machine.name not in (name, "", f"VM {machine.vmid}"):
                continue
            config = client.config(machine.node, machine.vmid)
            marked = mark(name) in str(config.get("description", "")).splitlines()
            named = vm.data.get("vmid") == machine.vmid and config.get("name") == name
            if named or (marked and _same_address(config, vm)):
                ours.append(machine)
            elif marked or config.get("name") == name:
                strangers.append(machine)
        place = (vm.path, *vm.lines.get("name", (0, 0)))
        if len(ours) > 1:
            both = " and ".join(f"VMID {machine.vmid} on {machine.node}" for machine in ours)
            findings.append(Finding(f"{name} is in Proxmox twice, as {both}; remove one of them", *place))
        elif ours and vm.data.get("vmid") not in (None, ours[0].vmid):
            message = (
                f"{name} was left by an interrupted run as VMID {ours[0].vmid} on {ours[0].node}, but its"
                f" file says vmid {vm.data['vmid']}; give it that VMID, or remove the machine"
            )
            findings.append(Finding(message, vm.path, *vm.lines.get("vmid", (0, 0))))
        elif ours:
            found[name] = _when_idle(client, ours[0], name, wait, sleep)
        elif strangers:
            message = (
                f"{name} is running elsewhere under VMID {strangers[0].vmid} on {strangers[0].node}, not made"
                " here; rename one of them, or give the file that vmid to take the machine over"
            )
            findings.append(Finding(message, *place))
    return found, findings


def _same_address(config: Mapping[str, Any], vm: VM) -> bool:
    """Whether a marked machine can be this file's and not another fleet's; a fresh clone has no address."""
    has = ipconfig(str(config.get("ipconfig0") or "ip=dhcp")).get("ip", "dhcp")
    return "/" not in has or has == ipconfig(vm.data["ipconfig0"])["ip"]


def _when_idle(client: Client, machine: Machine, name: str, wait: float, sleep) -> Machine:
    until = time.monotonic() + wait
    said = False
    while (lock := client.config(machine.node, machine.vmid).get("lock")) in _BUSY:
        if time.monotonic() > until:
            message = (
                f"{name} (VMID {machine.vmid}) on {machine.node} is still locked ({lock}) after {wait:.0f} s"
            )
            raise Fault(f"{message}; see its tasks in Proxmox", code=2)
        if not client.is_working(machine.node) and lock == client.config(machine.node, machine.vmid).get(
            "lock"
        ):
            message = (
                f"{name} (VMID {machine.vmid} on {machine.node}) is locked ({lock}) and no task runs there"
            )
            way_out = f"`qm unlock {machine.vmid}` and `qm destroy {machine.vmid}`, then run this again"
            raise Fault(f"{message}: its clone was cut off; {way_out}", code=2)
        if not said:
            note(f"waiting for {name} (VMID {machine.vmid}): a {lock} of an interrupted run still goes on")
            said = True
        sleep(2)
    return machine


def template_of(vm: VM, cluster: Iterable[Machine]) -> tuple[Machine | None, str]:
    """The template that Terraform takes too: on the target node first, then the newest; and a remark."""
    name, node = vm.data["clone"], vm.data["target_node"]
    fitting = [one for one in cluster if one.template and not one.container and one.name == name]
    if not fitting:
        return None, ""
    taken = max(fitting, key=lambda machine: (machine.node == node, machine.vmid))
    remark = f"{vm.name}: template {name} is VMID {taken.vmid} on {taken.node}"
    if len(fitting) > 1:
        remark += f", of {len(fitting)} with that name"
    return taken, remark


def needs(client: Client, cluster: list[Machine], vms: Mapping[str, VM]) -> list[Finding]:
    """Check that what these new machines ask for is there: node, template, storages, bridge."""
    if not vms:
        return []
    findings: list[Finding] = []
    nodes = client.nodes()
    for vm in vms.values():
        node = vm.data["target_node"]
        if node not in nodes:
            message = f"node {node} is not in the cluster, which has {_list(nodes)}"
            findings.append(_at(vm, "target_node", message))
            continue
        if not nodes[node]:
            findings.append(_at(vm, "target_node", f"node {node} is offline; start it, or choose another"))
            continue
        findings += _template_fits(client, cluster, vm)
        storages = client.storages(node)
        for slot, disk in (vm.data.get("disks") or {}).items():
            storage = disk.get("storage", STORAGE)
            if storages is not None and "images" not in _content(storages, storage):
                able = [name for name in storages if "images" in _content(storages, name)]
                message = f"storage {storage} cannot hold disks on {node}; {_list(able)} can"
                findings.append(_at(vm, f"disks.{slot}.storage", message))
        bridge = (vm.data.get("network") or {}).get("bridge", "vmbr0")
        bridges = client.bridges(node)
        if bridges is not None and bridge not in bridges:
            message = f"{node} has no bridge {bridge}; it has {_list(bridges)}"
            findings.append(_at(vm, "network.bridge", message))
    return findings


def _template_fits(client: Client, cluster: list[Machine], vm: VM) -> list[Finding]:
    template, remark = template_of(vm, cluster)
    if template is None:
        there = _list(sorted({machine.name for machine in cluster if machine.template}))
        return [_at(vm, "clone", f"Proxmox has no template {vm.data['clone']}; it has {there}")]
    note(remark)
    config = client.config(template.node, template.vmid)
    findings = []
    if int(config.get("protection") or 0):
        message = f"template {template.name} is protected, and so will be {vm.name}: it cannot be destroyed"
        findings.append(_at(vm, "clone", message)._replace(level="notice"))
    for slot, disk in (vm.data.get("disks") or {}).items():
        has, asked = _mebibytes(str(config.get(slot, ""))), gibibytes(disk["size"]) * 1024
        if has > asked:
            message = f"{slot} is {disk['size']}, but the template's is {has / 1024:g}G, and no disk shrinks"
            findings.append(_at(vm, f"disks.{slot}.size", message))
    return findings


def disks_of(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The SCSI disks of a machine's or a template's configuration, as a VM file would give them."""
    return {
        slot: {"size": math.ceil(_mebibytes(volume) / 1024), "storage": volume.split(":", 1)[0]}
        for slot, volume in config.items()
        if re.fullmatch(r"scsi\d+", slot) and "media=cdrom" not in volume
    }


def _mebibytes(volume: str) -> float:
    """The size in a volume's text, as `local-lvm:base-9000-disk-0,size=3584M`; 0 when it says none."""
    match = re.search(r"\bsize=(\d+(?:\.\d+)?)([KMGT])", volume)
    return float(match[1]) * {"K": 1 / 1024, "M": 1, "G": 1024, "T": 1 << 20}[match[2]] if match else 0


def _content(storages: Mapping[str, dict[str, Any]], name: str) -> list[str]:
    return storages.get(name, {}).get("content", "").split(",")


def _at(vm: VM, field: str, message: str) -> Finding:
    return Finding(message, vm.path, *vm.lines.get(field, vm.lines.get(field.split(".")[0], (0, 0))))


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
