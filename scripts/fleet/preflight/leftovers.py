"""What an interrupted apply left in Proxmox: machines that exist but that Terraform's state does not know."""

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from fleet.findings import Finding
from fleet.proxmox import tasks
from fleet.proxmox.client import Client, Guest
from fleet.proxmox.errors import Refused
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
    of the file. Waits up to `wait` seconds for what still is being made. Returns ({name: guest}, what is in the way).
    """
    found: dict[str, Guest] = {}
    cluster, findings = _settled(client, cluster, wait, sleep) if wanted else ([], [])
    for name, machine in wanted.items():
        ours: list[Guest] = []
        strangers: list[Guest] = []
        for guest in cluster:
            if guest.template or guest.container or not (guest.name == name or _is_nameless(guest)):
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


def _is_nameless(guest: Guest) -> bool:
    """Whether the cluster's list has no name for it yet, as for one that is seconds old."""
    return guest.name in ("", f"VM {guest.vmid}")


def _settled(
    client: Client, cluster: Iterable[Guest], wait: float, sleep: Callable[[float], None]
) -> tuple[list[Guest], list[Finding]]:
    """The guests once those are there that an interrupted run had begun to make, and what was never finished.

    Until a guest's first disk is filled, Proxmox shows a lock and neither name nor notes. Whose it will be tells only
    the task, which goes on.
    """
    settled: list[Guest] = []
    findings: list[Finding] = []
    for guest in cluster:
        config = {}
        if _is_nameless(guest) and not guest.container:
            config = client.config(guest.node, guest.vmid)
        if "name" in config or config.get("lock") not in ("create", "clone"):
            settled.append(guest)
        elif tasks.is_at_work(client, guest, client.user):
            with contextlib.suppress(Refused):  # a creation that fails takes the machine away
                tasks.when_unlocked(client, guest, "a machine without a name", wait, sleep)
            settled += [one for one in client.guests() if one.vmid == guest.vmid]
        elif not tasks.is_at_work(client, guest):
            message = (
                f"VMID {guest.vmid} on {guest.node} has a lock ({config['lock']}) and no name, and no task works on it:"
                f" a creation was cut off there; remove it with `qm unlock {guest.vmid}` and `qm destroy {guest.vmid}`"
            )
            findings.append(Finding(message, level="warning"))
    return settled, findings


def _same_address(config: Mapping[str, Any], machine: Machine) -> bool:
    """Whether a marked guest can be this file's and not another fleet's; a fresh clone has no address."""
    has = addresses.parse(str(config.get("ipconfig0") or ""))[0].ip
    return has is None or has == machine.ipconfig0.ip
