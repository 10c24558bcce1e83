"""What an interrupted apply left in Proxmox: machines that exist but that Terraform's state does not know."""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from fleet.findings import Finding
from fleet.proxmox import tasks
from fleet.proxmox.client import Client, Guest
from fleet.vms import addresses
from fleet.vms.machine import Machine, is_marked


def orphans(
    client: Client,
    cluster: Iterable[Guest],
    wanted: Mapping[str, Machine],
    wait: float = 600,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[dict[str, Guest], list[Finding]]:
    """Find the machines of `wanted` (those without a state) that exist in Proxmox nevertheless.

    A guest is taken for such a machine when its description has our mark, or when it has both the name and the VMID
    of the file. Waits up to `wait` seconds for a clone that still runs. Returns ({name: guest}, what is in the way).
    """
    found: dict[str, Guest] = {}
    findings: list[Finding] = []
    for name, machine in wanted.items():
        ours: list[Guest] = []
        strangers: list[Guest] = []
        for guest in cluster:
            # A guest that is seconds old has no name yet in the cluster's list.
            if guest.template or guest.container or guest.name not in (name, "", f"VM {guest.vmid}"):
                continue
            config = client.config(guest.node, guest.vmid)
            marked = is_marked(config.get("description"), name)
            named = machine.vmid == guest.vmid and config.get("name") == name
            if named or (marked and _same_address(config, machine)):
                ours.append(guest)
            elif marked or config.get("name") == name:
                strangers.append(guest)
        if len(ours) > 1:
            both = " and ".join(f"VMID {guest.vmid} on {guest.node}" for guest in ours)
            message = f"{name} exists twice in Proxmox, as {both}; remove one of them"
            findings.append(machine.finding("name", message))
        elif ours and machine.vmid not in (None, ours[0].vmid):
            message = (
                f"an interrupted run left {name} as VMID {ours[0].vmid} on {ours[0].node}, but its file says"
                f" {machine.vmid}; write {ours[0].vmid} here, or remove the machine in Proxmox"
            )
            findings.append(machine.finding("vmid", message))
        elif ours:
            tasks.when_unlocked(client, ours[0], name, wait, sleep)
            found[name] = ours[0]
        elif strangers:
            message = (
                f"{name} already exists as VMID {strangers[0].vmid} on {strangers[0].node} and was not made by this"
                f" project; rename one of the two, or take it over with `vmid: {strangers[0].vmid}` in this file"
            )
            findings.append(machine.finding("name", message))
    return found, findings


def _same_address(config: Mapping[str, Any], machine: Machine) -> bool:
    """Whether a marked guest can be this file's and not another fleet's; a fresh clone has no address."""
    has = addresses.parse(str(config.get("ipconfig0") or ""))[0].ip
    return has is None or has == machine.ipconfig0.ip
