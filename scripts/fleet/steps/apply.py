"""The steps of one apply: finish what was left, plan, guard, apply, and what to do when a part fails."""

import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fleet import paths
from fleet.ansible.host import addresses_of
from fleet.ansible.inventory import parse
from fleet.console import note
from fleet.files import read_text
from fleet.findings import Fault, Finding, report
from fleet.forge import step
from fleet.members.destroying import cannot_leave, let_leave
from fleet.names import vm_names
from fleet.plans import limits
from fleet.plans import plan as changes
from fleet.plans import text as plan_text
from fleet.plans.guard import Allowed, judge
from fleet.plans.unseen import unseen
from fleet.plans.unset import completed
from fleet.proxmox.client import Client
from fleet.steps import provider
from fleet.tags.requests_file import Approvals
from fleet.talos.leave import find
from fleet.terraform import command as terraform
from fleet.terraform import program, renamed, state
from fleet.workspaces import used_by

PARALLELISM = 4  # more clones at once only wait for the lock of their template
# How Proxmox and the provider word it that something else held a lock for too long.
LOCKED = re.compile(r"got timeout|can't lock|unable to lock|VM is locked|cfs-lock|trying to acquire")


class Job(NamedTuple):
    """What one run works on."""

    directory: Path
    vms_dir: Path
    approved: Approvals
    known: Collection[str]  # managed machines of the inventory, and those that the state has as finished
    max_changes: int
    client: Client
    parallelism: int = PARALLELISM  # machines at once
    secrets: Mapping[str, str] = {}  # variables of Terraform's environment
    addresses: Mapping[str, str] = {}  # of the machines in the inventory that there are
    held: Mapping[str, str] = {}  # machines that stay although their removal is approved, with the reason
    accepted: str = ""  # the digest of the machines that a person lets end at once
    renamed: Mapping[str, str] = {}  # machines to their names in the state

    @property
    def tfvars(self) -> Path:
        return self.directory / paths.TFVARS.name

    def write(self, values: dict[str, Any]) -> None:
        renamed.write(self.tfvars, values, self.renamed)


def current(job: Job) -> dict[str, state.Resource]:
    return state.parse(terraform.pull_state(job.directory) or "")


def untaint(job: Job, have: dict[str, state.Resource]) -> None:
    """A machine whose making failed half way is finished, instead of being destroyed and recreated."""
    for name, machine in have.items():
        if machine.tainted and name not in job.known and name not in job.approved.destroy:
            note(f"{name} was left unfinished by an earlier run; finishing it")
            terraform.checked(job.directory, "untaint", terraform.LOCK, machine.address)


def planned(job: Job, values: dict[str, Any], plan: Path, quiet: bool = False) -> list[changes.Change]:
    """Plan with this input, and read the plan; `quiet`: Terraform's text of it is not shown."""
    job.write(values)
    plan.unlink(missing_ok=True)
    note(f"{program.name()} plan")
    arguments = [terraform.LOCK, f"-parallelism={job.parallelism}", f"-out={plan}"]
    terraform.checked(job.directory, "plan", *arguments, capture=quiet, settings=job.secrets)
    shown = terraform.checked(job.directory, "show", "-json", str(plan), capture=True)
    return changes.read(json.loads(shown))


def must_pass(job: Job, found: list[changes.Change], more: Collection[Finding] = ()) -> None:
    """Say what a plan does, and raise Fault when the guard refuses it."""
    if not passes(job, found, more):
        raise Fault("the plan guard refused the plan, which was not applied")


def passes(job: Job, found: list[changes.Change], more: Collection[Finding] = ()) -> bool:
    """Say what a plan does, and whether the guard lets it pass."""
    there = [one for one in found if one.kind in ("update", "import")]
    configs = {one.name: job.client.config(one.before["node_name"], one.before["vm_id"]) for one in there}
    found = [completed(one, configs[one.name]) if one.name in configs else one for one in found]
    print(text := "\n".join(plan_text.lines(found)), flush=True)
    step.note(f"Terraform's plan:\n\n```\n{text}\n```")
    asked = job.approved
    allowed = Allowed(job.known, asked.destroy, asked.adopt, job.max_changes, asked.drop, job.accepted)
    lost = {one.name: unseen(one, configs[one.name]) for one in found if one.name in configs}
    return not report([*judge(found, allowed, lost), *more])


def with_members(job: Job, have: Mapping[str, state.Resource], hosts: Path) -> Job:
    """With the addresses by the inventory `hosts`, and without approving what is protected or cannot leave."""
    lines = parse(read_text(hosts))
    known = lines.variables().keys() - (lines.managed().keys() - set(have))
    addresses = {name: address for name, address in addresses_of(lines.variables()).items() if name in known}
    going = job.approved.destroy - (files := vm_names(job.vms_dir))
    held = {**job.held, **limits.protected(have, going)}
    held |= cannot_leave(going - held.keys(), have, files, addresses, find)
    approved = job.approved._replace(destroy=job.approved.destroy - held.keys())
    return job._replace(addresses=addresses, held=held, approved=approved)


def carry_out(job: Job, values: dict[str, Any], plan: Path, plan_only: bool) -> bool:
    """Plan, guard and apply; False when a part of the apply failed. Raises Fault when it is refused, and Stays."""
    found = planned(job, values, plan)
    if not plan_only and (anew := provider.read_anew(job.directory, values, found)):
        values, found = anew, planned(job, anew, plan)
    if anew := provider.kept(values, found):
        values, found = anew, planned(job, anew, plan)
    going, replaced = ([one.name for one in found if one.kind == kind] for kind in ("destroy", "replace"))
    clusters = job.directory.parent / paths.CLUSTERS_DIR.name
    used = used_by.warnings(going, values["vms"], clusters) + used_by.left_behind(job.renamed, clusters)
    must_pass(job, found, [*provider.lacking(job.client, values, found), *used])
    let_leave(going, replaced, values["vms"], job.addresses, find, dry_run=plan_only)
    if plan_only:
        return not report(provider.set_directly(job.client, values, found))
    provider.forget_dns(job.client, found)
    if held := provider.held_back(values, found):
        note("disks are grown after the other changes")
        must_pass(job, planned(job, held, plan))
        if not apply(job, held, plan):
            return False
        must_pass(job, planned(job, values, plan))
    return apply(job, values, plan)


def apply(job: Job, values: dict[str, Any], plan: Path, again: bool = False) -> bool:
    """Apply a plan of these values; what failed at a lock is applied once more, one machine at a time."""
    note(f"{program.name()} apply")
    arguments = [terraform.LOCK, f"-parallelism={1 if again else job.parallelism}", str(plan)]
    done = terraform.run(job.directory, "apply", *arguments, keep_errors=True, settings=job.secrets)
    if again or not done.returncode or not LOCKED.search(done.stderr):
        return not done.returncode
    note("something else in Proxmox held a lock; what is left is applied once more, one machine at a time")
    untaint(job, current(job))
    return passes(job, planned(job, values, plan)) and apply(job, values, plan, again=True)
