"""Releases in a state that helm leaves when it is killed. None is ever cleared by us: another run may be at it."""

from fleet.findings import Finding
from fleet.releases.plan import Change
from fleet.releases.stored import Release

BLOCKING = ("uninstalling", "uninstalled")


def blocks(release: Release) -> bool:
    """Whether helm refuses to upgrade the release as it is."""
    return release.status.startswith("pending-") or release.status in BLOCKING


def finding(change: Change, revisions: tuple[Release, ...], now: float) -> Finding | None:
    """Why nothing can be done to the release now, with the command that ends it."""
    release = revisions[-1]
    if not blocks(release):
        return None
    what = f"{release.name} in namespace {release.namespace} is {release.status}"
    if release.status == "uninstalled" and change.kind != "destroy":
        return Finding(
            f"refused: {what}: somebody uninstalled it and kept its history, so that Terraform takes it for installed;"
            f" end that with `{_uninstall(release)}`"
        )
    age = max(0.0, now - release.modified)
    if release.status != "uninstalled" and age <= change.timeout:
        return Finding(
            f"refused: {what} since {age:.0f} s: another run is at it; wait until it ends, {change.timeout:.0f} s at"
            " most, and run this again"
        )
    if change.kind == "destroy":
        return None  # helm uninstalls what any killed run left
    return Finding(
        f"refused: {what} since {_ago(age)}, longer than its timeout of {change.timeout:.0f} s: the run that began it"
        f" was killed. If none is at it any more, end that with {_clear(revisions)} and run this again"
    )


def _clear(revisions: tuple[Release, ...]) -> str:
    newest = revisions[-1]
    if newest.revision == 1 or newest.status == "uninstalling":
        return f"`{_uninstall(newest)}`"
    rollback = f"`helm rollback {newest.name} {{}} -n {newest.namespace}`"
    if last := next((one for one in reversed(revisions) if one.status == "deployed"), None):
        return rollback.format(last.revision)
    # A rollback that failed left none deployed; the good ones are superseded, and their pods may run.
    return (
        f"{rollback.format('REVISION')}, to a good one of `helm history {newest.name} -n {newest.namespace}`,"
    )


def _uninstall(release: Release) -> str:
    return f"helm uninstall {release.name} -n {release.namespace}"


def _ago(seconds: float) -> str:
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length:.0f} {unit}"
    return f"{seconds:.0f} s"
