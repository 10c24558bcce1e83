"""What a kubeconfig must contain, which credentials are useless, and what its users should know."""

import base64
import re
from collections.abc import Iterable
from typing import Any

from fleet.findings import Fault, cut, listed, printable
from fleet.names import is_context

PARTS = {"clusters": "cluster", "contexts": "context", "users": "user"}
FILES = ("certificate-authority", "client-certificate", "client-key", "tokenFile")
HIDDEN = ("DATA+OMITTED", "REDACTED")  # what kubectl prints in place of secrets


def check(data: dict[str, Any], what: str) -> None:
    """Raise Fault for data that is not a kubeconfig. Empty data is accepted."""
    if data.get("kind", "Config") != "Config" or str(data.get("apiVersion", "v1")) != "v1":
        raise Fault(f"{what} is not a kubeconfig: its kind must be Config, its apiVersion v1")
    if data and "kind" not in data and not set(PARTS) & set(data):
        raise Fault(f"{what} is not a kubeconfig: it has no clusters, contexts and users")
    for part, inner in PARTS.items():
        entries = data.get(part) or []
        if not isinstance(entries, list):
            raise Fault(f"{what} is not a kubeconfig: its {part} must be a list")
        for number, entry in enumerate(entries, 1):
            body = entry.get(inner) or {} if isinstance(entry, dict) else None
            if not isinstance(body, dict) or not isinstance(entry.get("name"), str):
                raise Fault(
                    f"{what} is not a kubeconfig: entry {number} of its {part} lacks a name or a {inner}"
                )


def has_context(data: dict[str, Any], name: str) -> bool:
    return any(context["name"] == name for context in data.get("contexts") or [])


def with_context(data: dict[str, Any], name: str) -> dict[str, Any]:
    """The kubeconfig with this context alone. Raises Fault when it has no such context."""
    found = [context for context in data.get("contexts") or [] if context["name"] == name]
    if not found:
        raise Fault(f"the kubeconfig has no context {name}; it has {_names(data.get('contexts') or [])}")
    return data | {"contexts": found}


def chosen(new: dict[str, Any], machine: str) -> list[dict[str, Any]]:
    """The machine's context, else the only one, its cluster, and its user. Raises Fault."""
    contexts = new.get("contexts") or []
    current = [context for context in contexts if context["name"] == machine] or contexts
    if not current:
        raise Fault("the kubeconfig has no context")
    if len(current) > 1:
        # Not the current one: whoever runs this may have another cluster's selected.
        raise Fault(
            f"the kubeconfig has several contexts, and none is called {machine}: {_names(current)};"
            " choose one with --context"
        )
    found = current[:1]
    for part, inner in (("clusters", "cluster"), ("users", "user")):
        wanted = body_of(current[0]).get(inner)
        entry = next((entry for entry in new.get(part) or [] if entry["name"] == wanted), None)
        if entry is None or not entry.get(inner):
            raise Fault(f"the kubeconfig's context refers to a {inner} that does not exist or is empty")
        found.append(entry)
    if "server" not in found[1]["cluster"]:
        raise Fault("the kubeconfig's cluster has no server")
    return found


def refuse_useless(cluster: dict[str, Any], user: dict[str, Any]) -> None:
    """Raise Fault for useless credentials. Invalid base64 in one field breaks kubectl for every cluster."""
    for key, value in (cluster | user).items():
        if not str(key).endswith("-data"):
            continue
        if value in HIDDEN:
            raise Fault(
                f"the kubeconfig's {key} is redacted; export it with `kubectl config view --raw --minify`"
            )
        try:
            decode(value)
        except (ValueError, TypeError):
            raise Fault(
                f"the kubeconfig's {key} is not valid base64; check that the file is complete"
            ) from None
    halves = [
        part for part in ("certificate", "key") if {f"client-{part}", f"client-{part}-data"} & user.keys()
    ]
    if len(halves) == 1:
        missing = "key" if halves[0] == "certificate" else "certificate"
        raise Fault(
            f"the kubeconfig's user has a client {halves[0]} without its {missing}, so it cannot log in"
        )


def decode(value: str) -> bytes:
    """The bytes of base64 as kubectl takes it: in lines or not. Raises ValueError or TypeError."""
    return base64.b64decode(re.sub(r"[\r\n]", "", value), validate=True)


def dangling(data: dict[str, Any]) -> list[str]:
    """A note for each reference to a context, cluster or user that does not exist."""
    names = {part: {entry["name"] for entry in data.get(part) or []} for part in PARTS}
    notes = []
    for context in data.get("contexts") or []:
        for part, inner in (("clusters", "cluster"), ("users", "user")):
            if body_of(context).get(inner) not in names[part]:
                notes.append(f"context {context['name']} refers to a {inner} that does not exist")
    if data.get("current-context") and data["current-context"] not in names["contexts"]:
        notes.append("current-context refers to a context that does not exist")
    return notes


def reaches_beyond(machine: str, cluster: dict[str, Any], user: dict[str, Any]) -> list[str]:
    """A note for each thing that a machine's kubeconfig runs or reads on its user's computer."""
    notes = []
    if user.get("exec") or user.get("auth-provider"):
        notes.append(f"the kubeconfig of {machine} runs a command on the computer of whoever uses it")
    if files := [key for key in FILES if key in cluster or key in user]:
        notes.append(
            f"the kubeconfig of {machine} reads files on the computer of whoever uses it: {', '.join(files)}"
        )
    return notes


def same_authority(others: list[dict], data: dict[str, Any], own: dict[str, Any]) -> list[str]:
    """A note for each other machine with this certificate authority: K3s creates one per cluster."""

    def authority(entry: dict[str, Any]) -> Any:
        return (entry.get("cluster") or {}).get("certificate-authority-data")

    if not authority(own):
        return []
    alike = {entry["name"] for entry in data["clusters"] if authority(entry) == authority(own)}
    alike -= {own["name"]}
    same = [context["name"] for context in others if body_of(context).get("cluster") in alike]
    hint = "has the same certificate authority; check that the file is not from that machine"
    return [f"context {name} {hint}" for name in filter(is_context, same)]


def _names(entries: list[dict]) -> str:
    return listed(cut(printable(entry["name"])) for entry in entries)


def used(contexts: Iterable[dict], inner: str) -> set[str]:
    """The names of the clusters, or users, that these contexts refer to."""
    return {name for context in contexts if isinstance(name := body_of(context).get(inner), str)}


def body_of(context: dict[str, Any]) -> dict[str, Any]:
    return context.get("context") or {}
