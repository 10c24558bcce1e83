"""Make Terraform's input: collect the machines, give each a VMID and disks, and render them."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fleet.findings import Finding
from fleet.names import is_talos
from fleet.preflight import devices, images, leftovers, needs, offered
from fleet.proxmox import ha, ids
from fleet.proxmox.client import Client, Guest
from fleet.steps.validate import catalogue_of, check_folder
from fleet.terraform import boot, kept, state, taken_over, tfvars, unsaid
from fleet.vms import public_keys
from fleet.vms.machine import Disk, Machine, is_marked, machine


class Input(NamedTuple):
    """Terraform's input, empty where an error was found; the machines kept without a file; what is wrong.

    `made_of`: the images of new machines.
    """

    values: dict[str, Any]
    kept: dict[str, kept.Kept]
    findings: list[Finding]
    made_of: Mapping[str, images.Source] = {}


class Sources(NamedTuple):
    """Where the input comes from: the folder of VM files, the fleet's public keys, and the file to write."""

    vms_dir: Path
    keys_file: Path
    target: Path


def build(
    sources: Sources,
    have: Mapping[str, state.Resource],
    approved: Collection[str] = (),
    client: Client | None = None,
) -> Input:
    """Make the input. `have`: what Terraform's state has; `approved`: to be destroyed; `client` None: offline."""
    found, findings = check_folder(sources.vms_dir)
    keys, unusable = public_keys.read(sources.keys_file)
    if errors := _errors([*findings, *unusable]):
        return Input({}, {}, errors)
    present = {name: machine(vm) for name, vm in found.items() if vm.managed}
    excluded = {name: machine(vm) for name, vm in found.items() if not vm.managed}
    gone = {name: have[name] for name in sorted(set(have) - set(found) - set(approved))}
    without_file, findings = kept.read_back(sources.vms_dir, gone)
    wanted = present | {name: entry.machine for name, entry in without_file.items()}
    findings += kept.clashes(present, without_file)
    known = {name: have[name].vmid for name in wanted if name in have}
    taken = {one.vmid: name for name, one in excluded.items() if one.vmid is not None}
    taken |= {resource.vmid: f"{name} (Terraform's state)" for name, resource in have.items()}
    imports, services = {}, {}
    cluster = client.guests() if client else []
    if client:
        imports, wrong = _compare(
            client, cluster, {name: one for name, one in wanted.items() if name not in have}, taken
        )
        known |= {name: guest.vmid for name, guest in imports.items()}
        wanted = ha.placed(wanted, known, cluster)
        services, more = ha.services(client, wanted, known, [n for n in have if "ha" in have[n].attributes])
        findings += wrong + more + devices.needs(client, list(present.values()), have)
    else:
        known = _before(sources.target, wanted) | known
    exist = dict.fromkeys(imports, ()) | {
        name: have[name].attributes.get("disk") or () for name in known & have.keys()
    }
    made_of, wrong = images.sources(client, wanted, exist, catalogue_of(sources.vms_dir))
    findings += wrong
    numbers, wrong = ids.choose(wanted, known, taken, client.is_free if client else lambda vmid: True)
    findings += wrong
    if _errors(findings):
        return Input({}, without_file, findings)
    configs = {name: client.config(guest.node, guest.vmid) for name, guest in imports.items()}
    adopted = {name for name, config in configs.items() if not is_marked(config.get("description"), name)}
    adopted |= {name for name in wanted if name in have and have[name].is_adopted(name)}
    machines = {}
    for name, one in wanted.items():
        disks = one.disks or _disks(one, have.get(name), imports.get(name), client, cluster)
        given = taken_over.Kept(boot.order(one, disks, have.get(name)), tuple(keys))
        if name in adopted:
            given = taken_over.kept(have.get(name), configs.get(name, {}))
        order, sshkeys = one.boot or given.boot, one.sshkeys or (() if is_talos(name) else given.sshkeys)
        disks = made_of[name].filled() if name in made_of else disks
        machines[name] = one._replace(vmid=numbers[name], disks=disks, boot=order, sshkeys=sshkeys)
        findings += _incomplete(machines[name], name not in adopted, offline=client is None)
    if _errors(findings):
        return Input({}, without_file, findings)
    places = {name: f"{guest.node}/{guest.vmid}" for name, guest in imports.items()}
    values = tfvars.as_input(machines, places, *sources, adopted, services)
    filled = unsaid.filled(values, {name: resource.attributes for name, resource in have.items()})
    unsaid.tell(values, filled)
    return Input(filled, without_file, findings, made_of)


def _compare(
    client: Client, cluster: list[Guest], new: dict[str, Machine], taken: dict[int, str]
) -> tuple[dict[str, Guest], list[Finding]]:
    """What Proxmox has of the machines without a state, and what it lacks for the others; extends `taken`."""
    taken |= {guest.vmid: f"{guest.name or 'a machine'} on {guest.node}" for guest in cluster}
    imports, findings = leftovers.orphans(client, cluster, new)
    missing = {name: one for name, one in new.items() if name not in imports}
    return imports, findings + needs.needs(client, cluster, missing)


def _before(target: Path, wanted: Collection[str]) -> dict[str, int]:
    """VMIDs of the input that was written before; offline, nothing else records them."""
    try:
        written = json.loads(target.read_text("utf-8"))["vms"]
        return {name: vm["vmid"] for name, vm in written.items() if name in wanted}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _disks(
    one: Machine,
    have: state.Resource | None,
    guest: Guest | None,
    client: Client | None,
    cluster: list[Guest],
) -> tuple[Disk, ...]:
    """The disks of a machine whose file lists none: its own, else its template's; () when offline."""
    if have:
        return have.disks
    source = guest or offered.template_of(one, cluster)
    return needs.disks_of(client.config(source.node, source.vmid)) if client and source else ()


def _incomplete(one: Machine, new: bool, offline: bool) -> list[Finding]:
    findings = []
    if not one.disks:
        message = "is missing, and neither the machine nor its template has a SCSI, VirtIO or SATA disk; add one there"
        if offline:
            message = "is missing; the template's disks are used then, but an offline run cannot ask for them"
        findings.append(one.finding("disks", message))
    if not one.sshkeys and one.ciuser and new:
        message = "is missing, and there is no proxmox/authorized_keys, so nobody could log in; add either"
        findings.append(one.finding("sshkeys", message))
    return findings


def _errors(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.level == "error"]
