"""Leaving a K3s cluster: without pods, without a Node, out of etcd. Its machine may go then, or join again.

All is asked of another control plane, over port 6443 and never by SSH: the machine itself may be broken.
"""

import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from fleet.findings import Fault, printable
from fleet.members import ask, drain
from fleet.members.api import Api
from fleet.members.place import Place, State, api, find, lost, state
from fleet.names import is_control_plane

ETCD_WAIT = 120  # seconds until K3s has let a deleted Node go, and its member of etcd
SILENCE = 60  # seconds after which the Node of a machine that was made again is not Ready any more


class K3s(NamedTuple):
    """A K3s cluster as departures.py asks it."""

    place: Place

    def state(self, server: Api) -> State:
        return state(self.place, server)

    def leave(self, name: str, seconds: float, say: Callable[[str], None]) -> bool:
        return leave(self.place, name, seconds, say)

    def forget(self, name: str, say: Callable[[str], None]) -> bool:
        return forget(self.place, name, say)

    def would(self, name: str) -> str:
        return would(self.place, name)


def k3s(cluster: str, members: Mapping[str, str], vault: tuple[str | None, str | None]) -> K3s | None:
    """How a K3s cluster is asked; None when Vault has never heard of it. Raises Fault."""
    planes = {name: address for name, address in members.items() if address and is_control_plane(name)}
    found = find(cluster, planes, *vault)
    return K3s(found) if found else None


def leave(place: Place, name: str, seconds: float, say: Callable[[str], None]) -> bool:
    """Drain a member and take it out of its cluster; False when it had left before. Raises Fault."""
    server = api(place, [name])
    node = server.get("node", name)
    _keeps_quorum(place, server, name)
    drained(server, node, seconds, say)
    return _removed(place, server, name, say)


def forget(place: Place, name: str, say: Callable[[str], None]) -> bool:
    """Take the former machine of this name out of its cluster; False when nothing of it was left. Raises Fault.

    Its Node must not be Ready: a machine that was made again runs no K3s yet.
    """
    server = api(place, [name])
    end = time.monotonic() + SILENCE
    while (node := server.get("node", name)) and is_ready(node):
        if time.monotonic() > end:
            raise Fault(
                f"{name} is Ready in {place.cluster}: K3s runs on it, or on another machine of this name. Stop that"
                " first, or remove it with [destroy NAME]"
            )
        say(f"{name} still counts as Ready; waiting until {place.cluster} has missed it")
        time.sleep(5)
    _keeps_quorum(place, server, name)
    return _removed(place, server, name, say)


def _keeps_quorum(place: Place, server: Api, name: str) -> None:
    if is_control_plane(name) and (reason := lost(place.cluster, state(place, server), [name])):
        raise Fault(reason)


def drained(server: Api, node: Any, seconds: float, say: Callable[[str], None]) -> None:
    """Have the pods of a Node go elsewhere; None: there is no Node. Raises Fault, and the Node is of use again."""
    if node is None:
        return
    name = node.metadata.name
    if not is_ready(node):
        say(f"{name} is not Ready, so its pods are left to the cluster")
        return
    for loss in drain.losses(server, drain.pods(server, name)):
        say(loss)
    server.ask("patch_node", name, {"spec": {"unschedulable": True}})
    try:
        drain.drain(server, name, seconds, say)
    except Fault:
        of_use(server, node)
        raise


def of_use(server: Api, node: Any) -> None:
    """Let pods come to a Node again whose machine stays, unless they were kept off it before. Raises Fault."""
    if not node.spec.unschedulable:
        server.ask("patch_node", node.metadata.name, {"spec": {"unschedulable": None}})


def _removed(place: Place, server: Api, name: str, say: Callable[[str], None]) -> bool:
    changed = server.delete("node", name)
    changed |= server.delete("secret", f"{name}.node-password.k3s", "kube-system")
    return gone(place.cluster, server, name, lambda: _etcd(place, server), say) or changed


def gone(
    cluster: str, server: Api, name: str, etcd: Callable[[], Collection[str]], say: Callable[[str], None]
) -> bool:
    """Wait until a member has no Node and no part in etcd; False where that was so. Raises Fault.

    `etcd`: asks for the names of its members.
    """
    changed, end = False, time.monotonic() + ETCD_WAIT
    # K3s lets a Node go only when it has done its own part, which takes the member out of etcd.
    while (lasts := server.get("node", name)) or (is_control_plane(name) and name in etcd()):
        changed = True
        if time.monotonic() > end:
            what = f"the Node {name}" if lasts else f"the member {name} in etcd"
            raise Fault(
                f"{cluster} still has {what} {ETCD_WAIT} s after it was deleted; see the logs of another control plane"
            )
        time.sleep(0.5)
    say(f"{name} is no member of {cluster} any more")
    return changed


def _etcd(place: Place, server: Api) -> set[str]:
    return {one.node for one in ask.etcd(server.address, place.entry.authority, place.entry.tokens.password)}


def is_ready(node: Any) -> bool:
    return any(one.type == "Ready" and one.status == "True" for one in node.status.conditions or [])


def would(place: Place, name: str) -> str:
    """What `leave` would do, for a person."""
    server = api(place, [name])
    node = server.get("node", name)
    if node is None:
        return f"{name} has left {place.cluster} already"
    found = drain.pods(server, name) if is_ready(node) else []
    told = f"{name} would leave {place.cluster}: {len(found)} pods would be evicted"
    return "; ".join([told, *map(printable, drain.losses(server, found))])
