"""The guard of a workspace's plan: what must not be done to a release, each with the reason and the way out.

Each rule asks the cluster itself. The helm provider takes every error while it reads for "the release is gone", and
then installs it again, or forgets it while it goes on running.
"""

from fleet.findings import Finding, listed
from fleet.releases import drift, foreign, left, pending, stored
from fleet.releases.asked import Asked
from fleet.releases.plan import Change, Plan
from fleet.releases.stored import Present, Release, latest


def judge(plan: Plan, present: Present, asked: Asked, now: float) -> list[Finding]:
    """What must not happen, and what a person should know. `now`: seconds since the epoch."""
    if elsewhere := _elsewhere(plan, asked):
        return [elsewhere]
    found: list[Finding | None] = []
    found += [_forgotten(one.address, latest(present, one.key)) for one in plan.drift.values() if one.gone]
    for change in plan.changes:
        release = latest(present, change.key)
        found.append(foreign.finding(change, present, plan, asked))
        found.append(_goes(change, asked))
        if release:
            found.append(pending.finding(change, present[change.key], now))
            found.append(drift.finding(change, release, plan.drift.get(change.address)))
    found.append(_everything(plan, asked))
    found += _without_effect(plan, asked)
    return list(filter(None, found))


def _refused(text: str) -> Finding:
    return Finding(f"refused: {text}")


def _elsewhere(plan: Plan, asked: Asked) -> Finding | None:
    """The state is about another cluster: what it has would be forgotten there, and its namesakes taken for it here."""
    before, now = plan.contexts
    if not before or before == now or not plan.recorded:
        return None
    name = asked.workspace
    return _refused(
        f"{name} has {listed(stored.names(plan.recorded))} on {before}, and its context is now {now}: they would go on"
        f" running there, and no workspace would know them. Put {before} back, and write a workspace of its own for"
        f" {now}; or first uninstall them, with `{name} = []`. If {before} is gone for good, or is the same cluster by"
        f" another name, forget its state: {left.forget(name)}; the next run takes over what is there unchanged"
    )


def _forgotten(address: str, release: Release | None) -> Finding | None:
    if not release:
        said = f"{address} was removed outside of Terraform: neither Terraform nor the cluster has it"
        return Finding(said, level="notice")
    return _refused(
        f"Terraform takes {release.name} for gone, but it is in the cluster (namespace {release.namespace}, revision"
        f" {release.revision}, {release.status}): the helm provider could not read it. Nothing was changed; run this"
        " again. If it stays, the cluster's API refuses or drops requests for some of helm's Secrets"
    )


def _goes(change: Change, asked: Asked) -> Finding | None:
    """A release that would be removed without anybody's word."""
    if change.kind not in ("destroy", "replace", "forget"):
        return None
    name = f"{asked.workspace}/{change.name}"
    if name in asked.destroy:
        return None
    does = {
        "destroy": f"uninstall {change.name}",
        "forget": f"forget {change.name}, which would go on running",
        "replace": f"uninstall {change.name} and install it again because of {listed(change.reasons)}",
    }[change.kind]
    back = "put it back into the configuration" if change.kind != "replace" else "revert that"
    return _refused(f"would {does}; {back}, or commit with [destroy {name}]")


def _everything(plan: Plan, asked: Asked) -> Finding | None:
    kinds = {change.kind for change in plan.changes}
    if not asked.workloads or not kinds or kinds - {"destroy", "forget"}:
        return None
    return _refused(
        f"would uninstall every release of {asked.workspace} although its workloads are {listed(asked.workloads)};"
        " check the modules' conditions in clusters/modules.tf"
    )


def _without_effect(plan: Plan, asked: Asked) -> list[Finding]:
    """Approvals of this workspace that nothing in the plan needs."""
    import difflib

    names = {change.name: change for change in plan.changes}
    settled = {name for name, change in names.items() if change.kind in ("destroy", "replace", "forget")}
    settled |= set(stored.names(one.key for one in plan.drift.values() if one.gone))
    found = []
    for one in sorted(asked.destroy):
        workspace, _, name = one.partition("/")
        if workspace != asked.workspace or name in settled:
            continue
        said = f"[destroy {one}] has no effect: "
        if name in names:
            said += "the release is wanted; to uninstall it, take its workload out of the map"
        else:
            near = difflib.get_close_matches(name, names, 1, 0.75)
            said += f"there is no such release; releases: {listed(sorted(names))}"
            said += f"; did you mean {near[0]}?" if near else ""
        found.append(Finding(said, level="notice" if name in names else "warning"))
    return found
