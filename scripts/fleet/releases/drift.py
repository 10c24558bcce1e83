"""Values of a release that somebody changed by hand: the provider looks at the revision alone, and plans nothing.

Messages name the places of differences and never values, any of which may be secret.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from fleet.clusters import yaml_parse
from fleet.findings import Fault, Finding, listed
from fleet.releases.plan import Change, Drift
from fleet.releases.stored import Release

SETS = ("set", "set_list", "set_sensitive", "set_wo")  # blocks of {name, value}
SHOWN = 8  # places that one message names


def given(values: Mapping[str, Any]) -> tuple[dict[str, Any], set[str]] | None:
    """What Terraform gives to helm as values, and the first keys whose content `set` and its like decide.

    `values`: the resource's attributes. None where they are known only after the apply. Raises Fault for no YAML.
    """
    texts = values.get("values") or []
    if any(not isinstance(text, str) for text in texts):
        return None
    merged: dict[str, Any] = {}
    for text in texts:
        merged = _merged(merged, yaml_parse.parse(text, f"values of {values.get('name')}").data)
    settings = [one for block in SETS for one in values.get(block) or ()]
    return merged, {str(one["name"]).split(".")[0].split("[")[0] for one in settings}


def differences(wanted: Mapping[str, Any], has: Mapping[str, Any], place: str = "") -> Iterator[str]:
    """The places, as `grafana.replicas`, at which two trees of values differ."""
    for name in sorted({*wanted, *has}, key=str):
        one, other, path = wanted.get(name), has.get(name), f"{place}{name}"
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            yield from differences(one, other, f"{path}.")
        elif (one != other or (name in wanted) != (name in has)) and not (_none(one) and _none(other)):
            yield path


def changed_by_hand(change: Change, release: Release) -> list[str] | None:
    """The places at which the cluster's values are not those of the last apply; None where that cannot be told."""
    try:
        said = given(change.before or change.after)
    except Fault:
        return None
    if said is None:
        return None
    wanted, decided = said
    return [path for path in differences(wanted, release.config) if path.split(".")[0] not in decided]


def finding(change: Change, release: Release, drift: Drift | None) -> Finding | None:
    """A warning, where the cluster's release is not what the last apply made of it."""
    if change.kind not in ("none", "update"):
        return None
    what = f"{change.name} in namespace {release.namespace}"
    if places := changed_by_hand(change, release):
        after = (
            "this apply overwrites them"
            if change.kind == "update"
            else f"nothing changes them back: `helm history {change.name} -n {release.namespace}` lists the revisions,"
            f" `helm rollback {change.name} REVISION -n {release.namespace}` returns to one, or write the values into"
            " clusters/"
        )
        said = f"{what}: values were changed in the cluster, at {listed(places, SHOWN)}; {after}"
        return Finding(said, level="warning")
    if drift and 0 < drift.revision < release.revision and not release.description.startswith("Rollback to"):
        said = (
            f"{what} is at revision {release.revision}, and the last apply made {drift.revision}: somebody else"
            " upgraded it, with the same values"
        )
        return Finding(said, level="notice")
    return None


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """As helm merges files of values: tables key by key, all else whole."""
    result = dict(below)
    for name, value in above.items():
        old = result.get(name)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        result[name] = _merged(old, value) if both else value
    return result


def _none(value: Any) -> bool:
    """helm drops what is null, and an empty table is no table."""
    return value is None or value == {}
