"""What the releases of a workspace are after an apply, by the cluster itself."""

from typing import NamedTuple

from fleet.findings import Finding
from fleet.releases.plan import Change, Plan
from fleet.releases.stored import Present, Release, latest

HEADS = ("release", "namespace", "chart", "revision", "status", "this run")
AGAIN = "the next run tries again"
DONE = {"create": "installed", "update": "upgraded", "replace": "reinstalled", "none": "-"}


class Outcome(NamedTuple):
    rows: list[tuple[str, ...]]  # below HEADS
    findings: list[Finding]


def of(plan: Plan, before: Present, after: Present) -> Outcome:
    """One row for each release of the plan, and an error for each that is not what it should be."""
    rows, findings = [], []
    for change in plan.changes:
        key = change.wanted or change.key
        release, old = latest(after, key), latest(before, key)
        said, problem = (
            _gone(change, release) if not change.wanted else _there(change, release, old, after.get(key, ()))
        )
        if problem:
            findings.append(Finding(problem))
        namespace, _, name = key.partition("/")
        shown = (
            (f"{release.chart} {release.version}", str(release.revision), release.status)
            if release
            else ("-",) * 3
        )
        rows.append((name, namespace, *shown, said))
    return Outcome(rows, findings)


def _gone(change: Change, release: Release | None) -> tuple[str, str]:
    if change.kind == "forget":
        return "forgotten", ""
    if release is None or release.status == "uninstalled":
        return "uninstalled", ""
    return "not uninstalled", (
        f"{release.name} was to be uninstalled and is still in the cluster ({release.status}); if the next plan does"
        f" not name it, Terraform has lost it: `helm uninstall {release.name} -n {release.namespace}`"
    )


def _there(
    change: Change, release: Release | None, old: Release | None, revisions: tuple[Release, ...]
) -> tuple[str, str]:
    name = change.wanted.partition("/")[2]
    if release is None:
        return (
            "not installed",
            f"{name} is not in the cluster: its installation failed and was undone; {AGAIN}",
        )
    if release.status != "deployed":
        return (
            "failed",
            f"{name} is {release.status}: {release.description or 'helm gives no reason'}; {AGAIN}",
        )
    if old and release.revision == old.revision:
        if change.kind in ("create", "none"):  # a takeover need not change anything
            return DONE[change.kind], ""
        return "not changed", f"{name} was not changed: see Terraform's error above; {AGAIN}"
    if change.kind != "none" and release.description.startswith("Rollback to"):
        failed = next((one for one in reversed(revisions) if one.status == "failed"), None)
        reason = f": {failed.description}" if failed and failed.description else ""
        return "rolled back", f"{name} could not be upgraded and was rolled back{reason}; {AGAIN}"
    return DONE[change.kind], ""
