"""Take the pods off a Node, as `kubectl drain` does: evicted, so that PodDisruptionBudgets are kept."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from fleet.findings import Fault, listed, printable
from fleet.members.api import Api

MIRROR = "kubernetes.io/config.mirror"  # the annotation of a pod that only its kubelet's file makes
WAIT = 300  # seconds for all pods of a Node


def pods(api: Api, node: str) -> list[Any]:
    """The pods that must go elsewhere: not those of DaemonSets, of files on the Node, or those that have ended."""
    found = api.ask("list_pod_for_all_namespaces", field_selector=f"spec.nodeName={node}").items
    return [pod for pod in found if not _stays(pod)]


def losses(api: Api, found: list[Any]) -> list[str]:
    """What is only on this machine and goes with it: a line for each volume of these pods."""
    lines = []
    for pod in found:
        for volume in pod.spec.volumes or []:
            if volume.empty_dir:
                lines.append(f"{_name(pod)}: its volume {volume.name} is empty again elsewhere")
            elif volume.persistent_volume_claim and (kept := _local(api, pod, volume)):
                lines.append(f"{_name(pod)}: its volume {kept} is on this machine and goes with it")
    return lines


def drain(api: Api, node: str, seconds: float, say: Callable[[str], None]) -> None:
    """Evict the pods and wait until they are gone. Raises Fault, with what held them, when that takes too long."""
    end, told = time.monotonic() + seconds, ""
    while left := pods(api, node):
        held = {_name(pod): _evict(api, pod) for pod in left}
        waits = "; ".join(_because(held))
        if time.monotonic() > end:
            raise Fault(f"{node} still has pods after {seconds:.0f} s: {waits}")
        if waits != told:
            say(f"{node} waits for {len(held)} pods: {waits}")
            told = waits
        time.sleep(1)


def _evict(api: Api, pod: Any) -> str:
    """Why a pod may not go yet; "" where it goes."""
    from kubernetes import client

    if pod.metadata.deletion_timestamp:
        return ""
    meta = client.V1ObjectMeta(name=pod.metadata.name, namespace=pod.metadata.namespace)
    # Only this very pod: another of its name may have come meanwhile.
    options = client.V1DeleteOptions(preconditions=client.V1Preconditions(uid=pod.metadata.uid))
    return api.evict(meta, client.V1Eviction(metadata=meta, delete_options=options))


def _because(held: Mapping[str, str]) -> list[str]:
    by_reason: dict[str, list[str]] = {}
    for name, reason in sorted(held.items()):
        by_reason.setdefault(printable(reason) or "they end", []).append(name)
    return [f"{listed(names, 5)} ({reason})" for reason, names in by_reason.items()]


def _stays(pod: Any) -> bool:
    owners = pod.metadata.owner_references or []
    of_daemon_set = any(one.controller and one.kind == "DaemonSet" for one in owners)
    ended = pod.status.phase in ("Succeeded", "Failed")
    return of_daemon_set or ended or MIRROR in (pod.metadata.annotations or {})


def _local(api: Api, pod: Any, volume: Any) -> str:
    """The name of a claim's volume that is a disk of one machine; "" for any other."""
    claim = api.get(
        "persistent_volume_claim", volume.persistent_volume_claim.claim_name, pod.metadata.namespace
    )
    if claim is None or not claim.spec.volume_name:
        return ""
    found = api.get("persistent_volume", claim.spec.volume_name)
    return claim.spec.volume_name if found and (found.spec.local or found.spec.host_path) else ""


def _name(pod: Any) -> str:
    return printable(f"{pod.metadata.namespace}/{pod.metadata.name}")
