"""The identity of a cluster, kept beside its address in the kubeconfig: the uid of its namespace kube-system.

An address says where a cluster is, a CA who may speak for it; only this says that it is still the same cluster. kubectl
keeps `extensions` as they are, and nothing of Kubernetes reads this one.
"""

import re
from typing import Any

from fleet.clusters import contents

NAME = "proxmox-gitops"  # the extension's
UID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def checked(uid: Any) -> str:
    """A uid that Kubernetes may have given. Raises ValueError."""
    if not isinstance(uid, str) or not UID.fullmatch(uid):
        raise ValueError("not a uid")
    return uid


def recorded(kubeconfig: dict[str, Any]) -> str | None:
    """The uid that a kubeconfig of one context keeps, as `single` makes it; None where it keeps none."""
    return of(kubeconfig["clusters"][0]["cluster"])


def of(cluster: dict[str, Any]) -> str | None:
    """The uid that a cluster's entry keeps."""
    for one in _extensions(cluster):
        body = one.get("extension") if isinstance(one, dict) and one.get("name") == NAME else None
        if isinstance(body, dict) and UID.fullmatch(str(body.get("uid"))):
            return body["uid"]
    return None


def marked(data: dict[str, Any], context: str, uid: str | None) -> dict[str, Any]:
    """The kubeconfig with that uid, or none, kept for the context's cluster; other entries stay the same objects."""
    _, entry, _ = contents.chosen(data, context)
    body = {key: value for key, value in entry["cluster"].items() if key != "extensions"}
    others = [
        one for one in _extensions(entry["cluster"]) if not isinstance(one, dict) or one.get("name") != NAME
    ]
    kept = others + ([{"name": NAME, "extension": {"uid": uid}}] if uid else [])
    new = entry | {"cluster": body | ({"extensions": kept} if kept else {})}
    if new == entry:
        return data
    return data | {"clusters": [new if one is entry else one for one in data["clusters"]]}


def _extensions(cluster: dict[str, Any]) -> list[Any]:
    found = cluster.get("extensions")
    return found if isinstance(found, list) else []
