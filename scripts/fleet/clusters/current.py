"""Whether the kubeconfig that Vault has of a cluster of several machines still serves, or another one is better.

Each server of such a cluster has an administrator's certificate of its own, and all are as good: without this, each
run on another server would replace the entry.
"""

import datetime
from typing import Any

from fleet.clusters import contents
from fleet.clusters.server import server_at
from fleet.findings import Fault

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
