"""Merge a machine's context into the kubeconfig of all machines, or remove it.

The functions work on parsed data. They keep everyone else's entries as the same objects, which is how
yaml_edit recognises text that must not change.
"""

from typing import Any, NamedTuple

from fleet.clusters import cluster_names, contents
from fleet.clusters.contents import PARTS, body_of, used
from fleet.clusters.server import server_at
from fleet.findings import Fault


class Edit(NamedTuple):
    data: dict[str, Any]
    cluster: str | None
    notes: list[str]


def merge(
    old: dict[str, Any], new: dict[str, Any], machine: str, address: str | None, given: str | None = None
) -> Edit:
    """Add the current context of `new` to `old` as context `machine`.

    `address` replaces a loopback host in the server's URL. The cluster and the user are called `given`;
    without it they keep their stored name, or get a drawn one. Raises Fault.
    """
    context, cluster, user = contents.chosen(new, machine)
    contents.refuse_useless(cluster["cluster"], user["user"])
    server = server_at(cluster["cluster"]["server"], address)
    data = {"apiVersion": "v1", "kind": "Config"} | old | {part: list(old.get(part) or []) for part in PARTS}
    own, others = _contexts(data, machine)
    name, notes = cluster_names.choose(data, own, others, machine, given)
    body = context["context"] | {"cluster": name, "user": name}
    entries = {
        "contexts": context | {"name": machine, "context": body},
        "clusters": cluster | {"name": name, "cluster": cluster["cluster"] | {"server": server}},
        "users": user | {"name": name},
    }
    for part, inner in PARTS.items():
        leaving = _leaving(own, others, inner) | {name} if part != "contexts" else {machine}
        data[part] = _put(data[part], leaving, entries[part])
    if _current(data) is None:
        data["current-context"] = machine
    notes += contents.same_authority(others, data, entries["clusters"])
    notes += contents.reaches_beyond(machine, cluster["cluster"], user["user"])
    return Edit(_tidy(data, old), name, notes + contents.dangling(data))


def remove(old: dict[str, Any], machine: str) -> Edit:
    """Remove the machine's context, and the cluster and user that no other context uses."""
    own, others = _contexts(old, machine)
    if not own:
        return Edit(old, None, contents.dangling(old))
    data = dict(old)
    for part, inner in PARTS.items():
        leaving = _leaving(own, others, inner) if part != "contexts" else {machine}
        if isinstance(old.get(part), list):
            data[part] = [entry for entry in old[part] if entry["name"] not in leaving]
    if old.get("current-context") == machine:
        data["current-context"] = (
            ""  # not another one: a command without --context must not reach the wrong cluster
        )
    cluster = body_of(own[0]).get("cluster")
    notes = [
        f"context {c['name']} also uses cluster {cluster}, so the cluster is kept"
        for c in others
        if body_of(c).get("cluster") == cluster
    ]
    return Edit(data, cluster, notes + contents.dangling(data))


def rename(old: dict[str, Any], machine: str, name: str) -> Edit:
    """Call the machine's context `name`; cluster and user keep their names, credentials and identity. Raises Fault.

    Where it is called so already, and there is none of the old name, nothing changes.
    """
    own, others = _contexts(old, machine)
    if not own:
        return Edit(old, None, contents.dangling(old))
    if there := [context for context in others if context["name"] == name]:
        has = body_of(there[0]).get("cluster")
        raise Fault(
            f"the kubeconfig has a context {name} already, of cluster {has}, so {machine} cannot be called so; remove"
            " the one that is wrong, or rename the machine to another name"
        )
    data = dict(old)
    data["contexts"] = [c | {"name": name} if c["name"] == machine else c for c in old["contexts"]]
    if old.get("current-context") == machine:
        data["current-context"] = name
    return Edit(data, body_of(own[0]).get("cluster"), contents.dangling(data))


def _contexts(data: dict[str, Any], machine: str) -> tuple[list[dict], list[dict]]:
    own, others = [], []
    for context in data.get("contexts") or []:
        (own if context["name"] == machine else others).append(context)
    return own, others


def _leaving(own: list[dict], others: list[dict], inner: str) -> set[str]:
    return used(own, inner) - used(others, inner)


def _put(entries: list[dict], leaving: set[str], new: dict[str, Any]) -> list[dict]:
    """Replace the entries called one of `leaving` by `new`, at the place of the first, else at the end."""
    result, placed = [], False
    for entry in entries:
        if entry["name"] not in leaving:
            result.append(entry)
        elif not placed:
            result.append(entry if entry == new else new)
            placed = True
    return result if placed else [*result, new]


def _current(data: dict[str, Any]) -> str | None:
    """The current context, or None if it does not exist."""
    current = data.get("current-context")
    return current if any(context["name"] == current for context in data["contexts"]) else None


def _tidy(data: dict[str, Any], old: dict[str, Any]) -> dict[str, Any]:
    """Sort the keys as in `old`, or as kubectl does if `old` is empty."""
    order = list(old) or ["apiVersion", "clusters", "contexts", "current-context", "kind", "users"]
    return {key: data[key] for key in [*order, *(key for key in data if key not in order)]}
