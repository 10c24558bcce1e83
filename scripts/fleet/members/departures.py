"""Which members leave their clusters before a run destroys or replaces their machines, and which machines are kept."""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from fleet.findings import Fault, listed
from fleet.members import drain, leave, place
from fleet.names import cluster_of, is_control_plane, leaves_cluster

Say = Callable[[str], None]
Vault = tuple[str | None, str | None]  # address and token; None: those of the environment


class Fleet(NamedTuple):
    """What a run makes of the machines, by their names."""

    going: frozenset[str]  # destroyed for good
    replaced: frozenset[str]  # destroyed and made again
    staying: frozenset[str]  # there afterwards, the replaced ones too
    addresses: Mapping[str, str]  # of the machines in the inventory

    def clusters(self) -> dict[str, list[str]]:
        """Each cluster that goes on to its members that leave it: workers first.

        One that loses all of its control planes ends: nobody is left whom to leave, and nothing that to keep.
        """
        found: dict[str, list[str]] = {}
        for name in sorted(filter(leaves_cluster, self.going | self.replaced), key=_workers_first):
            found.setdefault(cluster_of(name) or "", []).append(name)
        return {cluster: names for cluster, names in found.items() if self.planes(cluster) - self.replaced}

    def ending(self) -> list[str]:
        """The clusters of which no control plane stays."""
        clusters = {cluster_of(name) or "" for name in self.going | self.replaced if leaves_cluster(name)}
        return sorted(clusters - self.clusters().keys())

    def planes(self, cluster: str) -> frozenset[str]:
        """The control planes that a cluster has afterwards."""
        return frozenset(_planes_of(cluster, self.staying))

    def place(self, cluster: str, vault: Vault) -> place.Place | None:
        planes = {name: self.addresses[name] for name in _planes_of(cluster, self.addresses)}
        return place.find(cluster, planes, *vault)


def refused(fleet: Fleet, vault: Vault = (None, None)) -> dict[str, str]:
    """The members that cannot leave now, each with the reason. Changes nothing, and never raises Fault."""
    reasons = _started_over(fleet, vault)
    for cluster, names in fleet.clusters().items():
        try:
            if found := fleet.place(cluster, vault):
                reasons |= _refused(fleet, found, names)
        except Fault as fault:
            reasons |= dict.fromkeys(names, f"it cannot leave {cluster}: {fault}")
    return reasons


def _started_over(fleet: Fleet, vault: Vault) -> dict[str, str]:
    """The control planes that would be made again when no other is left: the cluster is to go on, and could not."""
    reasons: dict[str, str] = {}
    for cluster in fleet.ending():
        again = sorted(fleet.planes(cluster) & fleet.replaced)
        planes = _planes_of(cluster, fleet.going | fleet.replaced)
        if not again or len(planes) < 2:
            continue
        reason = (
            f"with it go all control planes of {cluster} ({listed(sorted(planes))}), and the cluster with them."
            " Recreate one in a push, and the next when k8s-ha.yml has brought it back; to end it, remove their files;"
            " where all are lost, see docs/clusters.md"
        )
        try:
            reasons |= dict.fromkeys(again, reason) if fleet.place(cluster, vault) else {}
        except Fault as fault:
            reasons |= dict.fromkeys(again, f"it cannot leave {cluster}: {fault}")
    return reasons


def _refused(fleet: Fleet, found: place.Place, names: list[str]) -> dict[str, str]:
    server = place.api(found, names)
    planes = set(filter(is_control_plane, names))
    if not planes:
        return {}
    state = place.state(found, server)
    planes &= state.voters  # the others have left before, or never joined
    lost = place.lost(found.cluster, state, planes)
    even = place.even(found.cluster, planes & fleet.going, fleet.planes(found.cluster))
    return dict.fromkeys(planes, lost) if lost else dict.fromkeys(planes & fleet.going, even) if even else {}


def depart(
    fleet: Fleet, say: Say, vault: Vault = (None, None), seconds: float = drain.WAIT
) -> tuple[list[str], dict[str, str]]:
    """Take the members out of their clusters; those that left now, and those that could not, with the reasons.

    Of control planes the first that cannot keeps those after it, since their number counts.
    """
    gone, reasons = [], refused(fleet, vault)
    for cluster, names in fleet.clusters().items():
        left = [name for name in names if name not in reasons]
        try:
            found = fleet.place(cluster, vault) if left else None
            left = _unwell_first(found, left) if found else []
        except Fault as fault:
            reasons |= dict.fromkeys(left, f"it cannot leave {cluster}: {fault}")
            continue
        stuck = ""
        for name in left:
            try:
                if stuck and is_control_plane(name):
                    raise Fault(f"{stuck} could not leave before it")
                say(f"{name} leaves {cluster}")
                gone += [name] if leave.leave(found, name, seconds, say) else []
            except Fault as fault:
                reasons[name] = f"it cannot leave {cluster}: {fault}"
                stuck = name if is_control_plane(name) else stuck
    return gone, reasons


def _unwell_first(found: place.Place, names: list[str]) -> list[str]:
    """Workers, then control planes: while a broken one is a member, no other may go."""
    if len(list(filter(is_control_plane, names))) < 2:
        return names
    well = place.state(found, place.api(found, names)).well
    return sorted(names, key=lambda name: (is_control_plane(name), name in well, name))


def told(fleet: Fleet, vault: Vault = (None, None)) -> list[str]:
    """What `depart` would do, a line for each member. Never raises Fault."""
    reasons = refused(fleet, vault)
    lines = [f"{cluster} ends with all of its control planes; nobody leaves it" for cluster in fleet.ending()]
    for cluster, names in fleet.clusters().items():
        for name in names:
            try:
                if name not in reasons and (found := fleet.place(cluster, vault)):
                    lines.append(leave.would(found, name))
            except Fault as fault:
                reasons[name] = f"it cannot leave {cluster}: {fault}"
    return lines + [f"{name} would be kept: {reason}" for name, reason in reasons.items()]


def _planes_of(cluster: str, names: Iterable[str]) -> list[str]:
    return [
        name
        for name in names
        if leaves_cluster(name) and is_control_plane(name) and cluster_of(name) == cluster
    ]


def _workers_first(name: str) -> tuple[bool, str]:
    return is_control_plane(name), name
