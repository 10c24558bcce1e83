"""One context cut out of the kubeconfig of all clusters: who works on one cluster holds no other's key."""

import difflib
from typing import Any

from fleet.clusters import contents
from fleet.findings import Fault, cut, listed, printable


def single(data: dict[str, Any], context: str) -> dict[str, Any]:
    """A kubeconfig of that context, its cluster and its user alone, and the context is the current one.

    Raises Fault where there is no such context, or where it refers to what is not there.
    """
    if not contents.has_context(data, context):
        names = sorted(entry["name"] for entry in data.get("contexts") or [])
        close = difflib.get_close_matches(context, names, 1)
        meant = f" (did you mean {printable(close[0])}?)" if close else ""
        raise Fault(
            f"Vault's kubeconfig has no context {cut(printable(context))}{meant}; it has"
            f" {listed(cut(printable(name)) for name in names)}. A machine's context comes with the first run of its"
            " playbook"
        )
    found = contents.chosen(contents.with_context(data, context), context)
    contents.refuse_useless(found[1]["cluster"], found[2]["user"])
    parts = dict(zip(("contexts", "clusters", "users"), ([entry] for entry in found), strict=True))
    return {"apiVersion": "v1", "kind": "Config", **parts, "current-context": context}
