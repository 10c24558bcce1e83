"""What became of the machines of a deployment, as a table, and how one that is not as wanted can be changed."""

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from fleet.console import table
from fleet.deploy import wanted
from fleet.deploy.wanted import Wanted
from fleet.findings import Fault
from fleet.lifecycle import verify
from fleet.lifecycle.spec import PREFIX
from fleet.proxmox.change import Change, Result

HEADS = ("machine", "VMID", "node", "state", "")
# The variables by which the state `modify` changes an option of Proxmox.
VARIABLES = {
    "cores": ("cores",), "sockets": ("sockets",), "memory": ("memory",), "cpu": ("cpu_type",), "agent": ("agent",),
    "onboot": ("onboot",), "protection": ("protection",), "tags": ("tags",), "description": ("description",),
    "net0": ("bridge", "vlan"), "ciuser": ("cloud_init_user",), "nameserver": ("cloud_init_dns",),
    "sshkeys": ("cloud_init_ssh_keys", "cloud_init_ssh_keys_file"), "searchdomain": ("cloud_init_domain",),
    "ipconfig0": ("cloud_init_ip", "cloud_init_gw"), "ciupgrade": ("upgrade",),
}  # fmt: skip
ONLY_NEW = ("made from", "node")


def run(change: Change, arguments: Mapping[str, Any]) -> Result:
    """`machines`: as the check answered; `outcomes`: by name. Raises Fault where a machine failed."""
    machines, outcomes = wanted.read(arguments["machines"]), arguments["outcomes"]
    if not machines:
        return Result(message="nothing to do")
    cluster = {guest.vmid: guest for guest in change.api.guests()}
    rows, hints, failures = [], [], []
    for one in machines:
        outcome = outcomes.get(one.name) or {"failure": "its play was cut off"}
        guest = cluster.get(one.spec.vmid or 0)
        words, differences = _words(outcome, change.check), outcome.get("differences") or {}
        rows.append(
            (one.name, one.spec.vmid, guest.node if guest else "-", guest.status if guest else "-", words)
        )
        if outcome.get("failure"):
            failures.append(f"{one.name}: {outcome['failure']}")
        elif differences:
            hints += [f"{one.name}: {text}" for text in verify.worded(differences)]
            hints += _way_out(one, guest.node if guest else one.spec.node, differences)
    change.say(table(HEADS, rows))
    for hint in hints:
        change.say(hint)
    if failures:
        raise Fault(
            f"{len(failures)} of {len(machines)} machines failed:\n"
            + "\n".join(f"- {failure}" for failure in failures)
            + "\nOnce that is mended, run the same command again: it goes on with what is there."
        )
    return Result(message=f"{len(machines)} machines are there")


def _words(outcome: Mapping[str, Any], check: bool) -> str:
    if outcome.get("failure"):
        return "failed"
    if outcome.get("made"):
        return "would be made" if check else "made"
    return "is there already, and differs" if outcome.get("differences") else "is there already"


def _way_out(one: Wanted, node: str, differences: Mapping[str, Any]) -> Iterator[str]:
    """How to change what differs; nothing of it is done by a deployment."""
    names = {name for option in differences for name in VARIABLES.get(option, ())}
    if any(option not in VARIABLES and option not in ONLY_NEW for option in differences):
        names |= {"disks", "disk_min_size"}
    given = {f"{PREFIX}{name}": one.variables.get(f"{PREFIX}{name}") for name in sorted(names)}
    given = {name: value for name, value in given.items() if value not in (None, "")}
    if given:
        said = shlex.quote(json.dumps({f"{PREFIX}name": one.name, **given}))
        yield f"  to change it: proxmox/manage-platform.sh -h {node} proxmox_vm modify -- -e {said}"
    if any(option in ONLY_NEW for option in differences):
        yield f"  only a new machine can have another template, image or node: move {one.name}, or make it anew"
