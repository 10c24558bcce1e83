"""Which members leave their clusters before a run destroys or replaces their machines, and which machines are kept.

It has more than 150 lines because whoever leaves, and whoever is kept, is decided by the same questions.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from fleet.findings import Fault, listed
from fleet.members import drain, place
from fleet.members.api import Api
from fleet.members.place import Place, State
from fleet.names import cluster_of, is_control_plane, is_member, is_talos

Say = Callable[[str], None]
Vault = tuple[str | None, str | None]  # address and token; None: those of the environment


class Asked(Protocol):
    """A cluster that can be asked, and left in the way of its kind. Every method raises Fault."""

    @property
    def place(self) -> Place: ...

    def state(self, server: Api) -> State: ...

    def leave(self, name: str, seconds: float, say: Say) -> bool:
        """Take a member out of the cluster; False when it had left before."""

    def forget(self, name: str, say: Say) -> bool:
        """Take out what the cluster still has of a machine that is gone; False when that was nothing."""

    def would(self, name: str) -> str:
        """What `leave` would do, for a person."""


# From a cluster, its members' addresses ("": not known), and Vault; None: Vault has never heard of the cluster.
Find = Callable[[str, Mapping[str, str], Vault], Asked | None]


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
        for name in sorted(filter(is_member, self.going | self.replaced), key=_workers_first):
            found.setdefault(cluster_of(name) or "", []).append(name)
        return {cluster: names for cluster, names in found.items() if self.planes(cluster) - self.replaced}

    def ending(self) -> list[str]:
        """The clusters of which no control plane stays."""
        clusters = {cluster_of(name) or "" for name in self.going | self.replaced if is_member(name)}
        return sorted(clusters - self.clusters().keys())

    def planes(self, cluster: str) -> frozenset[str]:
        """The control planes that a cluster has afterwards."""
        return frozenset(name for name in self.members(cluster) & self.staying if is_control_plane(name))

    def members(self, cluster: str) -> frozenset[str]:
        known = self.going | self.replaced | self.staying | self.addresses.keys()
        return frozenset(name for name in known if is_member(name) and cluster_of(name) == cluster)

    def ask(self, cluster: str, find: Find, vault: Vault) -> Asked | None:
        addresses = {name: self.addresses.get(name, "") for name in sorted(self.members(cluster))}
        return find(cluster, addresses, vault)


def refused(fleet: Fleet, find: Find, vault: Vault = (None, None)) -> dict[str, str]:
    """The members that cannot leave now, each with the reason. Changes nothing, and never raises Fault."""
    reasons = _started_over(fleet, find, vault)
    for cluster, names in fleet.clusters().items():
        try:
            if found := fleet.ask(cluster, find, vault):
                reasons |= _refused(fleet, found, names)
        except Fault as fault:
            reasons |= dict.fromkeys(names, f"it cannot leave {cluster}: {fault}")
    return reasons


def _started_over(fleet: Fleet, find: Find, vault: Vault) -> dict[str, str]:
    """The control planes that would be made again when no other is left: the cluster is to go on, and could not."""
    reasons: dict[str, str] = {}
    for cluster in fleet.ending():
        again = sorted(fleet.planes(cluster) & fleet.replaced)
        planes = set(filter(is_control_plane, fleet.members(cluster) & (fleet.going | fleet.replaced)))
        if not again or len(planes) < 2:
            continue
        reason = (
            f"with it go all control planes of {cluster} ({listed(sorted(planes))}), and the cluster with them."
            " Recreate one in a push, and the next when its playbook has brought it back; to end it, remove their"
            f" files; where all are lost, see docs/{'talos' if is_talos(again[0]) else 'clusters'}.md"
        )
        try:
            reasons |= dict.fromkeys(again, reason) if fleet.ask(cluster, find, vault) else {}
        except Fault as fault:
            reasons |= dict.fromkeys(again, f"it cannot leave {cluster}: {fault}")
    return reasons


def _refused(fleet: Fleet, found: Asked, names: list[str]) -> dict[str, str]:
    server, cluster = place.api(found.place, names), found.place.cluster
    planes = set(filter(is_control_plane, names))
    if not planes:
        return {}
    state = found.state(server)
    planes &= state.voters  # the others have left before, or never joined
    lost = place.lost(cluster, state, planes)
    even = place.even(cluster, planes & fleet.going, fleet.planes(cluster))
    return dict.fromkeys(planes, lost) if lost else dict.fromkeys(planes & fleet.going, even) if even else {}


def depart(
    fleet: Fleet, find: Find, say: Say, vault: Vault = (None, None), seconds: float = drain.WAIT
) -> tuple[list[str], dict[str, str]]:
    """Take the members out of their clusters; those that left now, and those that could not, with the reasons.

    Of control planes the first that cannot keeps those after it, since their number counts.
    """
    gone, reasons = [], refused(fleet, find, vault)
    for cluster, names in fleet.clusters().items():
        left = [name for name in names if name not in reasons]
        try:
            found = fleet.ask(cluster, find, vault) if left else None
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
                gone += [name] if found.leave(name, seconds, say) else []
            except Fault as fault:
                reasons[name] = f"it cannot leave {cluster}: {fault}"
                stuck = name if is_control_plane(name) else stuck
    return gone, reasons


def _unwell_first(found: Asked, names: list[str]) -> list[str]:
    """Workers, then control planes: while a broken one is a member, no other may go."""
    if len(list(filter(is_control_plane, names))) < 2:
        return names
    well = found.state(place.api(found.place, names)).well
    return sorted(names, key=lambda name: (is_control_plane(name), name in well, name))


def told(fleet: Fleet, find: Find, vault: Vault = (None, None)) -> list[str]:
    """What `depart` would do, a line for each member. Never raises Fault."""
    reasons = refused(fleet, find, vault)
    lines = [f"{cluster} ends with all of its control planes; nobody leaves it" for cluster in fleet.ending()]
    for cluster, names in fleet.clusters().items():
        for name in names:
            try:
                if name not in reasons and (found := fleet.ask(cluster, find, vault)):
                    lines.append(found.would(name))
            except Fault as fault:
                reasons[name] = f"it cannot leave {cluster}: {fault}"
    return lines + [f"{name} would be kept: {reason}" for name, reason in reasons.items()]


def _workers_first(name: str) -> tuple[bool, str]:
    return is_control_plane(name), name
