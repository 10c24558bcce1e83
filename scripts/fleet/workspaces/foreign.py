"""Releases that a plan would install under a name that the cluster has already.

With `upgrade_install` the helm provider would upgrade whatever has the name, so this asks whose it is.
"""

from collections.abc import Mapping

from fleet.findings import Finding
from fleet.terraform import program
from fleet.workspaces import drift, pending
from fleet.workspaces.plan import Change, Plan
from fleet.workspaces.releases import Present, Release, latest

GOING = ("destroy", "forget")


def finding(change: Change, present: Present, plan: Plan, owners: Mapping[str, str]) -> Finding | None:
    """What is to be said of a release that would be installed under a name that is taken.

    `owners`: NAMESPACE/NAME of releases that other workspaces' states have, and which workspace.
    """
    new = change.kind == "create" or (change.kind == "replace" and change.wanted != change.key)
    release = latest(present, change.wanted) if new and change.wanted else None
    known = plan.drift.get(change.address)
    if not release or (known and known.gone) or (change.kind == "create" and pending.blocks(release)):
        return None
    moved = next((one for one in plan.changes if one.kind in GOING and one.key == change.wanted), None)
    if moved:
        return Finding(
            f"refused: would remove and install {release.name} in one run, as its address changed; run"
            f" `{program.name()} state mv '{moved.address}' '{change.address}'` in the workspace"
        )
    if owner := owners.get(change.wanted):
        return Finding(
            f"refused: {release.name} in namespace {release.namespace} is in the state of workspace {owner}; take it out of"
            f" one of the two. If {owner} was renamed, run `{program.name()} workspace select {owner}` and"
            f" `{program.name()} state rm ADDRESS` for each of its releases, which go on running, and run this again"
        )
    if release.status == "failed" and release.revision == 1 and release.chart == _chart(change):
        said = f"{release.name} was left failed by its first installation; this apply repairs it"
        return Finding(said, level="notice")
    if _same(change, release):
        said = f"{release.name} was installed by a run that could not record it; this apply takes it over"
        return Finding(said, level="notice")
    return Finding(
        f"refused: {release.name} is in namespace {release.namespace} already, and not by this workspace (chart"
        f" {release.chart} {release.version}, revision {release.revision}). To take it over, run `{program.name()} import"
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
