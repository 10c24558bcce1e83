"""One workspace of clusters/: ask the cluster, plan, guard, apply the plan that was judged, look at the result."""

import json
import time
from pathlib import Path
from typing import NamedTuple

from fleet.clusters.vault import Store
from fleet.console import note, table
from fleet.contexts import guard as contexts
from fleet.contexts.api import Cluster
from fleet.contexts.handover import handed_over
from fleet.files import temporary
from fleet.findings import Fault, listed, report
from fleet.forge import step
from fleet.releases import guard, outcome, stored
from fleet.releases import plan as plans
from fleet.releases.asked import Asked
from fleet.releases.root import Root, show
from fleet.terraform import command as terraform
from fleet.terraform import lock, program
from fleet.workspaces import states
from fleet.workspaces.maps import Maps, Workspace

DONE, PARTLY = 0, 3
ANSWER = 60  # seconds in which the API has to answer after an apply


class Job(NamedTuple):
    directory: Path  # clusters/
    maps: Maps
    workspace: Workspace
    destroy: frozenset[str]  # WORKSPACE/RELEASE that may go
    plan_only: bool = False
    elsewhere: bool = False  # the maps are not those of the directory, and are given to Terraform as values


def run(job: Job, lock_timeout: float) -> int:
    """Exit code of the script. Raises Fault where nothing was begun."""
    if job.plan_only:
        return _run(job)
    with lock.held(job.directory, lock_timeout, lock.key(f"clusters/{job.workspace.name}")):
        return _run(job)


def _run(job: Job) -> int:
    name, context = job.workspace.name, job.workspace.context
    store = Store()
    try:
        kubeconfig, cluster = contexts.checked(store, context)
    except Fault as fault:
        raise states.explained(fault, job.workspace, job.directory, store) from None
    note(f"{context} answers")
    with temporary("proxmox-gitops-") as folder, handed_over(kubeconfig) as access:
        root = Root(job.directory, folder / "data", access)
        root.init()
        root.select(name)
        file = folder / "plan"
        note(f"{program.name()} plan of {name}")
        values = [f"-var-file={_values(job.maps, folder)}"] if job.elsewhere else []
        said = root.run("plan", terraform.LOCK, f"-out={file}", *values, capture=True)
        print(plans.shown(said), flush=True)
        plan = plans.read(show(root, file))
        present = stored.read(cluster)
        there = {one.wanted for one in plan.changes if one.kind in ("create", "replace")} & set(present)
        owners = states.owners(there, job.maps, job.workspace, job.directory)
        asked = Asked(name, job.workspace.workloads, job.destroy, owners)
        _tell(plan, name)
        if report(guard.judge(plan, present, asked, time.time())):
            way = f"commands for a person are run as `scripts/with_kubeconfig.py {context} -- COMMAND`"
            raise Fault(f"the plan of {name} was refused and not applied; {way}")
        if job.plan_only:
            return DONE
        return _apply(root, file, plan, present, cluster)


def _values(maps: Maps, folder: Path) -> Path:
    """A file that gives Terraform the maps as data, so that nothing of where they come from is evaluated."""
    file = folder / "maps.tfvars.json"
    workspaces = maps.workspaces.values()
    values = {
        "workload": {one.name: one.workloads for one in workspaces},
        "config": {one.name: one.config for one in workspaces},
        "charts": maps.charts,
    }
    file.write_text(json.dumps(values), "utf-8")
    return file


def _apply(root: Root, file: Path, plan: plans.Plan, present: stored.Present, cluster: Cluster) -> int:
    for change in plan.changed:
        if change.wanted:
            note(f"waits up to {change.timeout:.0f} s for {change.name} to be ready")
    failed, after = False, present
    if not plan.idle:
        note(f"{program.name()} apply")
        done = terraform.run(root.directory, "apply", terraform.LOCK, str(file), settings=root.settings)
        failed, after = bool(done.returncode), _afterwards(plan, cluster)
    found = outcome.of(plan, present, after)
    text = table(outcome.HEADS, found.rows)
    print(text, flush=True)
    step.note(f"```\n{text}\n```")
    if report(found.findings) or failed:
        return PARTLY
    note("done")
    return DONE


def _afterwards(plan: plans.Plan, cluster: Cluster) -> stored.Present:
    """The releases after an apply, for which an API that does not answer just now is asked for a while."""
    end = time.monotonic() + ANSWER
    while True:
        try:
            return stored.read(cluster)
        except Fault as fault:
            if time.monotonic() > end:
                begun = listed(change.name for change in plan.changed)
                said = f"{fault}. So it is not known what became of {begun}: look with `helm list -A`"
                raise Fault(f"{said}, and run this again", code=2) from None
            note(f"looks again for {ANSWER} s: {fault}")
            time.sleep(3)


def _tell(plan: plans.Plan, name: str) -> None:
    lines = [f"{change.kind:8}{change.key}" for change in plan.changed]
    text = "\n".join(lines) or "no release changes"
    print(text, flush=True)
    step.note(f"Plan of {name}:\n\n```\n{text}\n```")
