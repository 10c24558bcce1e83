"""One workspace of clusters/: ask the cluster, plan, guard, apply the plan that was judged, look at the result."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from fleet.clusters import shared_kubeconfig
from fleet.clusters.vault import Store
from fleet.console import note, table
from fleet.contexts import guard as contexts
from fleet.contexts.api import Cluster
from fleet.contexts.handover import handed_over
from fleet.files import temporary
from fleet.findings import Fault, listed, report
from fleet.forge import step
from fleet.terraform import command as terraform
from fleet.terraform import lock, program
from fleet.workspaces import guard, left, outcome, releases
from fleet.workspaces import plan as plans
from fleet.workspaces.maps import Maps, Workspace
from fleet.workspaces.root import Root, show

DONE, REFUSED, PARTLY = 0, 1, 3


class Job(NamedTuple):
    directory: Path  # clusters/
    workspace: Workspace
    destroy: frozenset[str]  # WORKSPACE/RELEASE that may go
    plan_only: bool = False


def of(maps: Maps, name: str, directory: Path) -> Workspace:
    """The workspace of this name. Raises Fault, which tells what became of one whose state has something left."""
    if name in maps.workspaces:
        return maps.workspaces[name]
    import difflib

    with reading(directory) as root:
        if name in root.workspaces():
            root.select(name)
            if found := left.left_maps(name, root.state(), directory):
                raise Fault(found.message)
    near = difflib.get_close_matches(name, maps.workspaces, 1, 0.6)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise Fault(f"there is no workspace {name}; workspaces: {listed(sorted(maps.workspaces))}{hint}", code=2)


@contextlib.contextmanager
def reading(directory: Path) -> Iterator[Root]:
    """Terraform for questions about states, without a cluster."""
    with temporary("proxmox-gitops-") as folder:
        root = Root(directory, folder / "data")
        root.init()
        yield root


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
        raise _with_state(fault, job, store) from None
    note(f"{context} answers, and is the cluster that was recorded")
    with temporary("proxmox-gitops-") as folder, handed_over(kubeconfig) as access:
        root = Root(job.directory, folder / "data", access)
        root.init()
        root.select(name)
        file = folder / "plan"
        note(f"{program.name()} plan of {name}")
        root.run("plan", terraform.LOCK, f"-out={file}")
        plan = plans.read(show(root, file))
        present = releases.read(cluster)
        asked = guard.Asked(name, job.workspace.workloads, job.destroy)
        refused = report(guard.judge(plan, present, asked, time.time()))
        _tell(plan, name)
        if refused:
            raise Fault(f"the plan of {name} was refused and not applied")
        if job.plan_only:
            return DONE
        return _apply(root, file, plan, present, cluster)


def _apply(root: Root, file: Path, plan: plans.Plan, present: releases.Present, cluster: Cluster) -> int:
    for change in plan.changed:
        if change.wanted:
            note(f"waits up to {change.timeout:.0f} s for {change.name} to be ready")
    note(f"{program.name()} apply")
    done = terraform.run(root.directory, "apply", terraform.LOCK, str(file), settings=root.settings)
    try:
        after = releases.read(cluster)
    except Fault as fault:
        begun = listed(change.name for change in plan.changed)
        said = f"{fault}. So it is not known what became of {begun}: look with `helm list -A`, and run this again"
        raise Fault(said, code=2) from None
    found = outcome.of(plan, present, after)
    text = table(outcome.HEADS, found.rows)
    print(text, flush=True)
    step.note(f"```\n{text}\n```")
    if report(found.findings) or done.returncode:
        return PARTLY
    note("done")
    return DONE


def _tell(plan: plans.Plan, name: str) -> None:
    lines = [f"{change.kind:8}{change.key}" for change in plan.changed]
    text = "\n".join(lines) or "no release changes"
    print(text, flush=True)
    step.note(f"Plan of {name}:\n\n```\n{text}\n```")


def _with_state(fault: Fault, job: Job, store: Store) -> Fault:
    """The fault, with what the workspace's state still has on a cluster whose context is not in Vault."""
    name, context = job.workspace.name, job.workspace.context
    if fault.code != 1:
        return fault
    there = shared_kubeconfig.read(store).get("contexts") or ()
    if context in [one.get("name") for one in there]:
        return fault
    with reading(job.directory) as root:
        if name not in root.workspaces():
            return fault
        root.select(name)
        more = left.without_cluster(name, context, root.state(), job.directory)
    return Fault(f"{fault}; {more}", code=fault.code) if more else fault
