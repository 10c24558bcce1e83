"""What an apply left to do, machine by machine: Terraform's own error names a resource and no value.

And what destroyed members left in their clusters, and the addresses of machines on DHCP.
"""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from fleet import paths
from fleet.ansible import compare, edit
from fleet.ansible.inventory import parse
from fleet.files import read_text
from fleet.findings import Fault, Finding
from fleet.forge import step
from fleet.hosts import leases
from fleet.members.destroying import forget
from fleet.names import is_member
from fleet.plans import text as plan_text
from fleet.plans.plan import Change
from fleet.rules.taken import addresses as taken_addresses
from fleet.steps.apply import Job, current, planned
from fleet.talos.leave import find
from fleet.terraform import command as terraform
from fleet.terraform import outputs as terraform_outputs
from fleet.vms import files as vms


def tell(job: Job, values: dict[str, Any], plan: Path) -> list[Finding]:
    """Plan again, and report each machine that still differs from its file, in the step's summary too."""
    left = [change for change in planned(job, values, plan, quiet=True) if change.kind != "none"]
    lines = [f"{change.name} failed (Terraform's error is above); {_what(change)}" for change in left]
    if not lines:
        lines = ["Terraform failed (its error is above), although nothing of the plan is left to do"]
    step.note("Failed; the next run retries it:\n\n" + "".join(f"- {line}\n" for line in lines))
    return [Finding(f"{line}. The next run retries it; all other changes were applied") for line in lines]


def _what(change: Change) -> str:
    if change.kind == "destroy":
        return "it was not destroyed"
    if change.kind in ("create", "replace"):
        return "it was not finished"
    return f"not applied: {plan_text.lines([change])[0].partition(': ')[2]}"


def without_failed(job: Job, values: dict[str, Any]) -> None:
    """After a failed apply, have Terraform's outputs tell of all but the unfinished machines."""
    have = current(job)
    have |= {name: have.pop(old) for name, old in job.renamed.items() if old in have}
    left = sorted(set(have) - set(values["vms"]))
    if left:
        raise Fault(
            f"could not destroy {', '.join(left)}; the reason is above, the next run tries again", code=2
        )
    failed = [name for name in values["vms"] if name not in have or have[name].tainted]
    rest = {name: vm for name, vm in values["vms"].items() if name not in failed}
    if not rest:
        raise Fault("no machine could be made; the reason is above, the next run tries again", code=2)
    job.write(values | {"vms": rest, "imports": {}})
    try:
        terraform.checked(
            job.directory, "apply", "-refresh-only", "-auto-approve", terraform.LOCK, capture=True
        )
    finally:
        job.write(values)


def forgotten(job: Job, before: Collection[str], values: dict[str, Any], hosts: Path) -> list[Finding]:
    """Take destroyed members out of their clusters, where they came back; a finding for each that may still be there.

    `before`: the machines of the state as it was. Those of the inventory `hosts`, which is changed later, are a run's
    that was killed.
    """
    names = {*before, *parse(read_text(hosts)).managed()}
    gone = set(filter(is_member, names)) - values["vms"].keys()
    return forget(gone - current(job).keys(), values["vms"], job.addresses, find) if gone else []


def told(job: Job, values: dict[str, Any], hosts: Path, wait: float) -> tuple[dict[str, Any], list[Finding]]:
    """Terraform's outputs with the addresses that guest agents tell, and a finding for each that stays unknown.

    `hosts`: the inventory. A machine that is known keeps its line, and so its last address, without an answer.
    """
    printed = json.loads(terraform.checked(job.directory, "output", "-json", capture=True))
    machines = terraform_outputs.machines(printed)
    ask = [name for name, one in machines.items() if not one.address and one.plays]
    started = [name for name in ask if values["vms"].get(name, {}).get("vm_state") != "stopped"]
    if not ask:
        return printed, []
    files, _ = vms.load_dir(job.vms_dir)
    text, formerly = read_text(hosts), vms.formerly(job.vms_dir)
    lines = parse(edit.renamed(text, compare.renames(parse(text), machines, formerly)))
    taken = leases.Taken(taken_addresses(files.values()), lines, paths.shown(hosts), job.approved.adopt)
    found = leases.find(job.client, machines, started, taken, wait)
    findings = leases.findings(found, files, machines, lines)
    return terraform_outputs.with_addresses(printed, found.addresses), findings
