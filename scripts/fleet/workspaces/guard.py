"""The guard of a workspace's plan: what must not be done to a release, each with the reason and the way out.

Each rule asks the cluster itself. The helm provider takes every error while it reads for "the release is gone", and
then installs it again, or forgets it while it goes on running.
"""

from collections.abc import Collection
from typing import NamedTuple

from fleet.findings import Finding, listed
from fleet.terraform import program
from fleet.workspaces import drift, pending, releases
from fleet.workspaces.plan import Change, Plan
from fleet.workspaces.releases import Present, Release, latest


class Asked(NamedTuple):
    """For what a plan is judged."""

    workspace: str
    workloads: Collection[str]  # of the map; empty where everything is to go
    destroy: Collection[str]  # WORKSPACE/RELEASE, by [destroy WORKSPACE/RELEASE]


def judge(plan: Plan, present: Present, asked: Asked, now: float) -> list[Finding]:
    """What must not happen, and what a person should know. `now`: seconds since the epoch."""
    found: list[Finding | None] = []
    found += [_forgotten(one.address, latest(present, one.key)) for one in plan.drift.values() if one.gone]
    going = {change.key: change for change in plan.changes if change.kind in ("destroy", "forget")}
    for change in plan.changes:
        release = latest(present, change.key)
        found.append(_foreign(change, present, plan, going))
        found.append(_goes(change, asked))
        if release:
            found.append(pending.finding(change, present[change.key], now))
            found.append(drift.finding(change, release, plan.drift.get(change.address)))
    found.append(_everything(plan, asked))
    found += _without_effect(plan, asked)
    return list(filter(None, found))


def _refused(text: str) -> Finding:
    return Finding(f"refused: {text}")


def _forgotten(address: str, release: Release | None) -> Finding | None:
    if not release:
        said = f"{address} was removed outside of Terraform: neither Terraform nor the cluster has it"
        return Finding(said, level="notice")
    return _refused(
        f"Terraform takes {release.name} for gone, but it is in the cluster (namespace {release.namespace}, revision"
        f" {release.revision}, {release.status}): the helm provider could not read it. Nothing was changed; run this"
        " again. If it stays, the cluster's API refuses or drops requests for some of helm's Secrets"
    )


def _foreign(change: Change, present: Present, plan: Plan, going: dict[str, Change]) -> Finding | None:
    """A release that is to be installed under a name that the cluster has already."""
    new = change.kind == "create" or (change.kind == "replace" and change.wanted != change.key)
    release = latest(present, change.wanted) if new and change.wanted else None
    known = plan.drift.get(change.address)
    if not release or (known and known.gone) or (change.kind == "create" and pending.blocks(release)):
        return None
    if moved := going.get(change.wanted):
        return _refused(
            f"would remove and install {release.name} in one run, as its address changed; run `{program.name()} state"
            f" mv '{moved.address}' '{change.address}'` in the workspace"
        )
    if release.status == "failed" and release.revision == 1 and release.chart == _chart(change):
        said = f"{release.name} was left failed by its first installation; this apply repairs it"
        return Finding(said, level="notice")
    if _same(change, release):
        said = f"{release.name} was installed by a run that could not record it; this apply takes it over"
        return Finding(said, level="notice")
    return _refused(
        f"{release.name} is in namespace {release.namespace} already, and not by this workspace (chart {release.chart}"
        f" {release.version}, revision {release.revision}). To take it over, run `{program.name()} import"
        f" '{change.address}' {release.key}` in the workspace; to install it anew, `helm uninstall {release.name} -n"
        f" {release.namespace}`"
    )


def _same(change: Change, release: Release) -> bool:
    """Whether an installation would give the cluster what it has: the run that did so was killed."""
    given = (release.chart, release.version.removeprefix("v"))
    wanted = (_chart(change), str(change.after.get("version") or "").removeprefix("v"))
    return given == wanted and release.status == "deployed" and drift.changed_by_hand(change, release) == []


def _chart(change: Change) -> str:
    """The chart's name: of an address or a folder its last part."""
    return str(change.after.get("chart") or "").rstrip("/").rpartition("/")[2]


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
    settled |= set(releases.names(one.key for one in plan.drift.values() if one.gone))
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
