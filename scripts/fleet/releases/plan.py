"""Terraform's plan of one workspace (`terraform show -json`): what it does to each helm release."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from fleet.findings import Fault

TYPE = "helm_release"
TIMEOUT = 300  # seconds; the provider's default
# An attribute of a resource: up to the bracket in its own column.
_METADATA = re.compile(r"^ {6}[-+~ ] metadata +=.*[{(]\n(?: {9}.*\n|\n)*? {8}[})].*\n", re.M)


class Change(NamedTuple):
    """One release in the plan. `kind`: create, update, replace, destroy, forget or none."""

    address: str
    kind: str
    before: Mapping[str, Any]  # as the state has it, after Terraform looked at the cluster
    after: Mapping[str, Any]  # as it is to be; what is only known after the apply is missing
    reasons: tuple[str, ...]  # attributes that force a replacement

    @property
    def key(self) -> str:
        """NAMESPACE/NAME as the cluster has it now, or as it will be."""
        return key(self.before or self.after)

    @property
    def wanted(self) -> str:
        """NAMESPACE/NAME as the cluster is to have it; empty where it is to have none."""
        return key(self.after) if self.after and self.kind not in ("destroy", "forget") else ""

    @property
    def name(self) -> str:
        return self.key.partition("/")[2]

    @property
    def timeout(self) -> float:
        return float((self.after or self.before).get("timeout") or TIMEOUT)


class Drift(NamedTuple):
    """A release that is not as the last apply left it: `gone`, or of another revision."""

    address: str
    key: str
    gone: bool
    revision: int  # that the state recorded


class Plan(NamedTuple):
    changes: tuple[Change, ...]  # of releases, those without a change too
    drift: Mapping[str, Drift]  # by address
    others: int  # changes of anything that is no release
    contexts: tuple[str, str] = ("", "")  # the cluster's, as the last apply recorded it, and as it is to be
    idle: bool = False  # an apply would do nothing: no change, nothing to write into the state

    @property
    def recorded(self) -> set[str]:
        """NAMESPACE/NAME of what the state had before Terraform looked at the cluster."""
        there = {change.key for change in self.changes if change.kind != "create"}
        return there | {drift.key for drift in self.drift.values()}

    @property
    def changed(self) -> tuple[Change, ...]:
        return tuple(change for change in self.changes if change.kind != "none")


def read(plan: Mapping[str, Any]) -> Plan:
    """Raises Fault for JSON of something else."""
    try:
        changes = [_change(one) for one in _releases(plan.get("resource_changes"))]
        drift = [_drift(one) for one in _releases(plan.get("resource_drift"))]
        others = [
            one
            for one in plan.get("resource_changes") or ()
            if one["type"] != TYPE and one["change"]["actions"] not in (["no-op"], ["read"])
        ]
        outputs = plan.get("output_changes") or {}
        context = outputs.get("context") or {}
        actions = [one["change"]["actions"] for one in plan.get("resource_changes") or ()]
        actions += [one["actions"] for one in outputs.values()]
        return Plan(
            tuple(sorted(changes, key=lambda change: change.key)),
            {one.address: one for one in drift},
            len(others),
            (context.get("before") or "", context.get("after") or ""),
            not plan.get("resource_drift") and all(one == ["no-op"] for one in actions),
        )
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise Fault("is not what `terraform show -json` prints of a plan", "plan", code=2) from error


def shown(text: str) -> str:
    """What Terraform prints of a plan, without what it read in the cluster: values given by hand may be secrets."""
    return _METADATA.sub("", text)


def state(text: str) -> dict[str, str]:
    """Each release's address and NAMESPACE/NAME in what `terraform state pull` prints, and other resources' "".

    No text is an empty state. Raises Fault for anything but a state.
    """
    import json

    if not text.strip():
        return {}
    try:
        found = {}
        for resource in (one for one in json.loads(text)["resources"] if one["mode"] == "managed"):
            address = ".".join(filter(None, (resource.get("module"), resource["type"], resource["name"])))
            for instance in resource["instances"]:
                index = f"[{json.dumps(instance['index_key'])}]" if "index_key" in instance else ""
                found[address + index] = key(instance["attributes"]) if resource["type"] == TYPE else ""
        return found
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise Fault("is not what `terraform state pull` prints", "state", code=2) from error


def key(values: Mapping[str, Any]) -> str:
    return f"{values.get('namespace') or 'default'}/{values['name']}"


def _releases(resources: Iterable[Any] | None) -> list[Any]:
    return [one for one in resources or () if one["type"] == TYPE and one.get("mode", "managed") == "managed"]


def _change(resource: Mapping[str, Any]) -> Change:
    change = resource["change"]
    paths = change.get("replace_paths") or ()
    return Change(
        resource["address"],
        _kind(change["actions"]),
        change["before"] or {},
        change["after"] or {},
        tuple(sorted({str(path[0]) for path in paths if path})),
    )


def _kind(actions: list[str]) -> str:
    if "delete" in actions:
        return "replace" if "create" in actions else "destroy"
    return next((kind for kind in ("create", "update", "forget") if kind in actions), "none")


def _drift(resource: Mapping[str, Any]) -> Drift:
    before = resource["change"]["before"]
    revision = (before.get("metadata") or {}).get("revision") or 0
    return Drift(resource["address"], key(before), "delete" in resource["change"]["actions"], int(revision))
