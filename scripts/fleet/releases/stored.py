"""helm's releases as the cluster has them: each revision is a Secret of type helm.sh/release.v1.

Terraform's helm provider takes every error while it reads for "the release is gone", so the guards ask here instead.
"""

import base64
import binascii
import json
import zlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol

from fleet.findings import Fault, printable

TYPE = "helm.sh/release.v1"
# Superseded revisions say nothing of the present, and are most of them.
SELECTOR = "owner=helm,status!=superseded"
MOST = 64 << 20  # bytes of one unpacked release; a Secret holds at most 1 MiB of it packed


class Release(NamedTuple):
    """One revision of a release."""

    name: str
    namespace: str
    revision: int
    status: str  # helm's: deployed, failed, uninstalled, uninstalling, pending-install, -upgrade or -rollback
    modified: float  # seconds since the epoch, by the clock of whoever ran helm
    chart: str
    version: str  # of the chart
    description: str  # helm's words on how this revision ended
    config: Mapping[str, Any]  # the values that were given, not the chart's own

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"


class Cluster(Protocol):
    def secrets(self, label_selector: str) -> list[Any]: ...


Present = Mapping[str, tuple[Release, ...]]  # by NAMESPACE/NAME, the oldest revision first


def read(cluster: Cluster) -> Present:
    """All releases of the cluster, without superseded revisions. Raises Fault, also for one that cannot be read."""
    found: dict[str, list[Release]] = {}
    for secret in cluster.secrets(SELECTOR):
        if secret.type == TYPE:
            one = release(secret)
            found.setdefault(one.key, []).append(one)
    return {key: tuple(sorted(all_of, key=lambda one: one.revision)) for key, all_of in found.items()}


def latest(present: Present, key: str) -> Release | None:
    """The revision that counts of a release, None where the cluster has none."""
    return present[key][-1] if present.get(key) else None


def release(secret: Any) -> Release:
    """What one Secret says. Raises Fault when helm could not read it either."""
    place, labels = secret.metadata, secret.metadata.labels or {}
    try:
        said = _unpacked(secret.data["release"])
        info, chart = said["info"], said["chart"]["metadata"]
        changed = labels.get("modifiedAt") or labels.get("createdAt")
        return Release(
            name=str(said["name"]),
            namespace=place.namespace,
            revision=int(said["version"]),
            status=str(info["status"]),
            modified=float(changed) if changed else place.creation_timestamp.timestamp(),
            chart=str(chart["name"]),
            version=str(chart["version"]),
            description=printable(str(info.get("description") or ""))[:500],
            config=dict(said.get("config") or {}),
        )
    except (LookupError, TypeError, ValueError, AttributeError, binascii.Error, zlib.error):
        raise Fault(
            f"secret {place.namespace}/{place.name} is not a release that helm wrote; look at it with"
            f" `kubectl get secret {place.name} -n {place.namespace}`, and remove it if helm cannot read it either"
        ) from None


def _unpacked(text: str) -> dict[str, Any]:
    """Kubernetes' base64 around helm's own, around gzip, around JSON."""
    packed = base64.b64decode(base64.b64decode(text))
    unpacker = zlib.decompressobj(wbits=31)
    raw = unpacker.decompress(packed, MOST)
    if not unpacker.eof:
        raise ValueError("too large, or cut off")
    return json.loads(raw)


def names(present: Iterable[str]) -> list[str]:
    return sorted(key.partition("/")[2] for key in present)
