"""What no tag lifts: machines that are protected, too many that end at once, control planes below quorum."""

import hashlib
import json
from collections.abc import Collection, Mapping

from fleet.findings import listed, printable
from fleet.names import cluster_of, is_control_plane, is_member
from fleet.plans.plan import Change
from fleet.terraform.state import Resource

# Machines that may end at once without a review: a fifth of a fleet of ten. A smaller one may lose two as well, or its
# owner could not take back what a push has brought; in a larger one, three are rare enough to be looked at.
MOST = 2


def protected(have: Mapping[str, Resource], going: Collection[str]) -> dict[str, str]:
    """The machines that tags would destroy and that are protected by what was applied last, with the reason."""
    return {
        name: "it is protected, and only a run of its own takes that off: restore the file with `protected: false`,"
        " push that, and remove the file in a later push"
        for name in sorted(going)
        if name in have and have[name].attributes.get("protection")
    }


def of_protected(change: Change) -> str | None:
    """Why the plan may not end a protected machine or take its disks; None where it does not."""
    if not change.protected:
        return None
    name = change.name
    lost = [slot for slot, old, new in change.disks() if old and not new]
    if change.kind == "destroy":
        what = f"would destroy {name}"
    elif change.kind == "replace":
        what = f"would destroy and recreate {name}"
    elif change.kind in ("update", "import") and lost:
        what = f"would take {listed(lost)} from {name}"
    else:
        return None
    return (
        f"{what}, which is protected; no tag lifts that. Set `protected: false` in {name}.yaml, and do the rest in a"
        " later push, when a run has applied it"
    )


def digest(ending: Collection[Change]) -> str:
    """What a person accepts: which machines end, each with its VMID and node, and whether it is made again.

    Twelve hexadecimal digits. Nothing else of the plan counts, so that the same machines have the same digest in a plan
    of the next minute, and other machines never have it.
    """
    lines = sorted(
        [one.kind, one.name, one.before.get("vm_id"), one.before.get("node_name")] for one in ending
    )
    return hashlib.sha256(json.dumps(lines).encode()).hexdigest()[:12]


def of_share(found: Collection[Change], accepted: str) -> str | None:
    """Why so many machines may not end at once, unless a person has accepted the digest of just these."""
    there = [change for change in found if change.kind != "create"]
    ending = [change for change in there if change.kind in ("destroy", "replace")]
    if len(ending) <= MOST or accepted == (wanted := digest(ending)):
        return None
    other = f" What was accepted, {printable(accepted)}, is not this." if accepted else ""
    return (
        f"would destroy or recreate {len(ending)} of {len(there)} machines at once"
        f" ({listed(sorted(one.name for one in ending))}); more than {MOST} need somebody who has read the list.{other}"
        f" If all of them may end, start terraform-apply by hand with accept={wanted} (scripts: --accept {wanted}); or"
        " push them in several pushes"
    )


def of_quorum(found: Collection[Change]) -> list[str]:
    """Clusters of which a plan would stop so many control planes that the others are too few.

    Whoever stops all of them puts the cluster to sleep. Members that are destroyed or made again leave first, which
    `members` decides. No apply restarts a machine, and the playbook `reboot` takes one after the other.
    """
    clusters: dict[str, list[Change]] = {}
    for change in found:
        if (
            is_member(change.name)
            and is_control_plane(change.name)
            and change.kind not in ("create", "destroy")
        ):
            clusters.setdefault(cluster_of(change.name) or "", []).append(change)
    refused = []
    for cluster, planes in clusters.items():
        stopped = sorted(one.name for one in planes if one.running and not one.after.get("started"))
        left, needed = sum(bool(one.after.get("started")) for one in planes), len(planes) // 2 + 1
        if stopped and 0 < left < needed:
            refused.append(
                f"would stop {listed(stopped)}, and {left} of {len(planes)} control planes of {cluster} would be left"
                f" running, where etcd needs {needed}; stop fewer, or all of them"
            )
    return refused
