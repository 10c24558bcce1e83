"""Whether what Vault's kubeconfig has of a cluster still serves, and which cluster it is for.

Each server of a cluster of several machines has an administrator's certificate of its own, and all are as good: without
`serves`, each run on another server would replace the entry.

An address says where a cluster is, a CA who may speak for it. That it is still the same cluster is told by the uid of
its namespace kube-system alone: it is kept in the cluster's `extensions`, which Kubernetes' programs leave as they are.
"""

import datetime
import re
from typing import Any

from fleet.clusters import contents
from fleet.clusters.kubeconfig import Edit
from fleet.clusters.server import server_at
from fleet.findings import Fault

EXTENSION = "proxmox-gitops"  # its name
UID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
DAYS = 90  # so long before a certificate ends it is replaced, and K3s makes another when it starts


def serves(stored: dict[str, Any], new: dict[str, Any], name: str, address: str | None) -> bool:
    """Whether the entry `name` of `stored` has the server and CA of `new`, and a certificate that lasts."""
    from cryptography import x509

    if not any(context["name"] == name for context in stored.get("contexts") or []):
        return False
    try:
        _, cluster, user = contents.chosen(stored, name)
        _, wanted, _ = contents.chosen(new, name)
        old, wished = cluster["cluster"], wanted["cluster"]
        if old.get("server") != server_at(wished["server"], address):
            return False
        if old.get("certificate-authority-data") != wished.get("certificate-authority-data"):
            return False
        pem = contents.decode(user["user"]["client-certificate-data"])
        end = x509.load_pem_x509_certificate(pem).not_valid_after_utc
    except (Fault, LookupError, TypeError, ValueError):
        return False
    return end > datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=DAYS)


def checked(uid: Any) -> str:
    """A uid that Kubernetes may have given. Raises ValueError."""
    if not isinstance(uid, str) or not UID.fullmatch(uid):
        raise ValueError("not a uid")
    return uid


def recorded(data: dict[str, Any], context: str) -> str | None:
    """The uid that a kubeconfig keeps for the cluster of this context."""
    cluster = _cluster(data, context)
    found = [one["extension"] for one in _extensions(cluster) if _is_ours(one) and one.get("extension")]
    uid = found[0].get("uid") if found and isinstance(found[0], dict) else None
    return uid if isinstance(uid, str) and UID.fullmatch(uid) else None


def identified(edit: Edit, before: dict[str, Any], context: str, uid: str | None) -> Edit:
    """The edit of `before`, with the uid that the cluster tells now.

    Without one, that of before is kept where server and CA are still the same. Other entries stay the same objects.
    """
    old, was, now = recorded(before, context), _cluster(before, context), _cluster(edit.data, context)
    if uid is None and all(was.get(key) == now.get(key) for key in ("server", "certificate-authority-data")):
        uid = old
    note = f"{context} is another cluster than before: the uid of its kube-system was {old} and is {uid}"
    return edit._replace(
        data=_marked(edit.data, context, uid), notes=edit.notes + [note] * bool(old and uid and old != uid)
    )


def _marked(data: dict[str, Any], context: str, uid: str | None) -> dict[str, Any]:
    _, entry, _ = contents.chosen(data, context)
    body = {key: value for key, value in entry["cluster"].items() if key != "extensions"}
    kept = [one for one in _extensions(entry["cluster"]) if not _is_ours(one)]
    kept += [{"name": EXTENSION, "extension": {"uid": uid}}] if uid else []
    new = entry | {"cluster": body | ({"extensions": kept} if kept else {})}
    if new == entry:
        return data
    return data | {"clusters": [new if one is entry else one for one in data["clusters"]]}


def _cluster(data: dict[str, Any], context: str) -> dict[str, Any]:
    """What the kubeconfig says of this context's cluster; nothing where it has none."""
    try:
        return contents.chosen(contents.with_context(data, context), context)[1]["cluster"]
    except Fault:
        return {}


def _extensions(cluster: dict[str, Any]) -> list[Any]:
    found = cluster.get("extensions")
    return found if isinstance(found, list) else []


def _is_ours(extension: Any) -> bool:
    return isinstance(extension, dict) and extension.get("name") == EXTENSION
