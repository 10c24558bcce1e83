"""Where a cluster is asked, what its etcd is like now, and who may leave it: quorum, and an odd number."""

from collections.abc import Collection, Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from fleet.clusters import contents, shared_kubeconfig
from fleet.clusters.vault import Store
from fleet.findings import Fault, listed
from fleet.members import access as members_access
from fleet.members import ask, prove, tokens
from fleet.members.access import Access
from fleet.members.api import Api


class State(NamedTuple):
    """Etcd's members by the names of their Nodes."""

    voters: frozenset[str]
    well: frozenset[str]  # those whose API is ready and whose Node is
    joining: frozenset[str] = frozenset()  # they have no vote yet


class Place(NamedTuple):
    """Where a cluster is asked."""

    cluster: str
    planes: Mapping[str, str]  # each control plane of the inventory to its address
    endpoint: str  # the host of the server in Vault's kubeconfig
    entry: Access


def find(
    cluster: str, planes: Mapping[str, str], addr: str | None = None, token: str | None = None
) -> Place | None:
    """How a cluster is asked; None when Vault has never heard of it, so that nothing was ever in it. Raises Fault."""
    data = shared_kubeconfig.read(Store(addr, token))
    if not contents.has_context(data, cluster) and not tokens.Store(cluster, addr, token).read().server_token:
        return None
    entry = members_access.access(cluster, "", addr, token)
    server = contents.chosen(data, cluster)[1]["cluster"]["server"]
    return Place(cluster, planes, urlsplit(str(server)).hostname or "", entry)


def api(place: Place, leaving: Collection[str] = ()) -> Api:
    """The API at a control plane that answers, rather one that stays. Raises Fault when none does."""
    names = sorted(place.planes, key=lambda name: (name in leaving, name))
    problems = {}
    for name, address in [*((name, place.planes[name]) for name in names), ("its endpoint", place.endpoint)]:
        if not address:
            continue
        if not (problem := prove.ready(address, place.entry)):
            return Api(address, place.entry)
        problems[f"{name} ({address})"] = problem
    said = "; ".join(f"{name} {problem}" for name, problem in problems.items())
    raise Fault(f"no control plane of {place.cluster} answers: {said}", code=2)


def state(place: Place, server: Api) -> State:
    """What etcd and the Nodes are like now. Raises Fault."""
    members = ask.etcd(server.address, place.entry.authority, place.entry.tokens.password)
    voters = [one for one in members if not one.learner]
    return State(
        frozenset(one.node for one in voters),
        frozenset(one.node for one in voters if is_well(place, server, one.node, _address(place, one))),
        frozenset(one.node or listed(sorted(one.hosts)) for one in members if one.learner),
    )


def _address(place: Place, member: ask.EtcdMember) -> str:
    return place.planes.get(member.node) or next(iter(sorted(member.hosts)), "")


def is_well(place: Place, server: Api, name: str, address: str) -> bool:
    """Whether a control plane's Node is Ready, and its API too, with its etcd. Raises Fault."""
    found = prove.node(name, server.address, place.entry)
    return bool(found and found.ready and address) and not prove.ready(address, place.entry)


def lost(cluster: str, state: State, leaving: Collection[str]) -> str:
    """Why etcd would lose its quorum, or cannot remove these; "" when they may go one by one, the unwell first."""
    going = sorted(state.voters & set(leaving), key=lambda name: (name in state.well, name))
    if not going:
        return ""
    if joining := state.joining - set(leaving):
        return f"{listed(sorted(joining))} is still joining etcd of {cluster}; run this again when it has"
    left = set(state.voters)
    for name in (None, *going):
        left.discard(name or "")
        if not left:
            return (
                f"{listed(going)} would be the last to leave etcd of {cluster}, and the cluster's data with it; let the"
                " control planes that stay join first"
            )
        needed = len(left) // 2 + 1
        if len(state.well & left) < needed:
            unwell = sorted(left - state.well)
            return (
                f"without {listed(going)} etcd of {cluster} would have {len(left)} members, of which {needed} must be"
                f" well, and {listed(unwell)} {'is' if len(unwell) == 1 else 'are'} not; repair that first"
            )
    return ""


def even(cluster: str, going: Collection[str], after: Collection[str]) -> str:
    """Why the control planes of `going` may not go for good and leave those of `after`; "" when they may.

    Two of three give etcd nothing that one alone does not, and either of them ends it.
    """
    if not going or not after or len(after) % 2:
        return ""
    tags = " ".join(f"[destroy {name}]" for name in sorted(going))
    return (
        f"without {listed(sorted(going))} {cluster} would have {len(after)} control planes ({listed(sorted(after))}),"
        f" and etcd needs an odd number: remove one more, or add one, in one push with {tags}; to make a machine"
        " again, keep its file and give it another vmid"
    )
