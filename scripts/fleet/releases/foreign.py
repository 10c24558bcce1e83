"""Releases that a plan would install under a name that the cluster has already.

With `upgrade_install` the helm provider would upgrade whatever has the name, so this asks whose it is.
"""

from fleet.findings import Finding
from fleet.releases import drift, pending
from fleet.releases.asked import Asked, by_hand
from fleet.releases.plan import Change, Plan
from fleet.releases.stored import Present, Release, latest

GOING = ("destroy", "forget")


def finding(change: Change, present: Present, plan: Plan, asked: Asked) -> Finding | None:
    """What is to be said of a release that would be installed under a name that is taken."""
    new = change.kind == "create" or (change.kind == "replace" and change.wanted != change.key)
    release = latest(present, change.wanted) if new and change.wanted else None
    known = plan.drift.get(change.address)
    if not release or (known and known.gone) or (change.kind == "create" and pending.blocks(release)):
        return None
    moved = next((one for one in plan.changes if one.kind in GOING and one.key == change.wanted), None)
    if moved:
        return Finding(
            f"refused: would remove and install {release.name} in one run, as its address changed; run"
            f" {by_hand(asked.workspace, 'state', 'mv', moved.address, change.address)}"
        )
    if owner := asked.owners.get(change.wanted):
        return Finding(
            f"refused: {release.name} in namespace {release.namespace} is in the state of workspace {owner}; take it"
            f" out of one of the two. If {owner} was renamed, {by_hand(owner, 'state', 'rm', 'ADDRESS')} for each of"
            " its releases makes its state forget them; they go on running, and the next run takes them over"
        )
    same = _same(change, release)
    if same and release.status == "failed" and release.revision == 1:
        said = f"{release.name} was left failed by its first installation; this apply repairs it"
        return Finding(said, level="notice")
    if same and release.status == "deployed":
        said = f"{release.name} was installed by a run that could not record it; this apply takes it over"
        return Finding(said, level="notice")
    return Finding(
        f"refused: {release.name} is in namespace {release.namespace} already, and not by this workspace (chart"
        f" {release.chart} {release.version}, revision {release.revision}). To take it over, run"
        f" {by_hand(asked.workspace, 'import', change.address, release.key)}; to install it anew, `helm uninstall"
        f" {release.name} -n {release.namespace}`"
    )


def _same(change: Change, release: Release) -> bool:
    """Whether an installation would give the cluster what it has: the run that did so was killed.

    A failed one of others may run all the same, as what was not waited for long enough; with other values helm would
    remove what these leave out, such as volumes.
    """
    version = str(change.after.get("version") or "")
    same = _of_chart(change, release) and release.version.removeprefix("v") == version.removeprefix("v")
    return same and drift.changed_by_hand(change, release) == []


def _of_chart(change: Change, release: Release) -> bool:
    """Whether the release is of the chart that the plan names; a folder does not tell the name of the chart in it."""
    chart = str(change.after.get("chart") or "")
    return chart.startswith((".", "/")) or chart.rpartition("/")[2] == release.chart
