"""Bring the images of new machines onto the storages, before Terraform makes disks of them."""

from collections.abc import Mapping
from typing import Any

from fleet.console import note
from fleet.findings import Fault, Finding
from fleet.images import volume
from fleet.preflight.images import Source, too_small
from fleet.proxmox.client import Client


def brought(
    client: Client, values: dict[str, Any], found: Mapping[str, Source]
) -> tuple[dict[str, Any], list[Finding]]:
    """Terraform's input without the machines whose image could not be brought, each with a finding.

    What is there is verified. Raises Fault when no machine is left.
    """
    failed: dict[str, list[Finding]] = {}
    problems: dict[tuple[str, str], str] = {}
    for name, source in found.items():
        machine = source.machine
        place = machine.target_node, source.volume
        if place not in problems:
            problems[place] = _bring(client, source)
        if problems[place]:
            message = f"{name} is not made: {problems[place]}. The next run tries again"
            failed[name] = [machine.finding("image", message)]
        elif wrong := too_small(client, source):
            failed[name] = wrong
    rest = {name: vm for name, vm in values["vms"].items() if name not in failed}
    findings = [finding for wrong in failed.values() for finding in wrong]
    if failed and not rest:
        raise Fault("; ".join(finding.text() for finding in findings), code=2)
    return values | {"vms": rest}, findings


def _bring(client: Client, source: Source) -> str:
    """The reason where it failed, else ""."""
    try:
        done = volume.bring(client, source.machine.target_node, source.storage, source.image)
    except Fault as fault:
        return str(fault)
    note(done.message)
    return ""
