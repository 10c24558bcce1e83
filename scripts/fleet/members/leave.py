"""Leaving a K3s cluster: without pods, without a Node, out of etcd. Its machine may go then, or join again.

All is asked of another control plane, over port 6443 and never by SSH: the machine itself may be broken.
"""

import time
from collections.abc import Callable

from fleet.findings import Fault, printable
from fleet.members import ask, drain
from fleet.members.api import Api
from fleet.members.place import Place, api, lost, state
from fleet.names import is_control_plane

ETCD_WAIT = 120  # seconds until K3s has let a deleted Node go, and its member of etcd
SILENCE = 60  # seconds after which the Node of a machine that was made again is not Ready any more


def leave(place: Place, name: str, seconds: float, say: Callable[[str], None]) -> bool:
    """Drain a member and take it out of its cluster; False when it had left before. Raises Fault."""
    server = api(place, [name])
    node = server.get("node", name)
    _keeps_quorum(place, server, name)
    if node and _is_ready(node):
        _drained(server, node, seconds, say)
    elif node:
        say(f"{name} is not Ready, so its pods are left to the cluster")
    return _removed(place, server, name, say)


def forget(place: Place, name: str, say: Callable[[str], None]) -> bool:
    """Take the former machine of this name out of its cluster; False when nothing of it was left. Raises Fault.

    Its Node must not be Ready: a machine that was made again runs no K3s yet.
    """
    server = api(place, [name])
    end = time.monotonic() + SILENCE
    while (node := server.get("node", name)) and _is_ready(node):
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


def _drained(server: Api, node: object, seconds: float, say: Callable[[str], None]) -> None:
    name, before = node.metadata.name, node.spec.unschedulable
    for loss in drain.losses(server, drain.pods(server, name)):
        say(loss)
    server.ask("patch_node", name, {"spec": {"unschedulable": True}})
    try:
        drain.drain(server, name, seconds, say)
    except Fault:
        if not before:  # the machine stays, and is to be of use
            server.ask("patch_node", name, {"spec": {"unschedulable": None}})
        raise


def _removed(place: Place, server: Api, name: str, say: Callable[[str], None]) -> bool:
    changed = server.delete("node", name)
    changed |= server.delete("secret", f"{name}.node-password.k3s", "kube-system")
    end = time.monotonic() + ETCD_WAIT
    # K3s lets a Node go only when it has done its own part, which takes the member out of etcd.
    while (lasts := server.get("node", name)) or (is_control_plane(name) and name in _etcd(place, server)):
        changed = True
        if time.monotonic() > end:
            what = f"the Node {name}" if lasts else f"the member {name} in etcd"
            raise Fault(
                f"{place.cluster} still has {what} {ETCD_WAIT} s after it was deleted; see the journal of K3s on"
                " another control plane"
            )
        time.sleep(0.5)
    say(f"{name} is no member of {place.cluster} any more")
    return changed


def _etcd(place: Place, server: Api) -> set[str]:
    return {one.node for one in ask.etcd(server.address, place.entry.authority, place.entry.tokens.password)}


def _is_ready(node: object) -> bool:
    return any(one.type == "Ready" and one.status == "True" for one in node.status.conditions or [])


def would(place: Place, name: str) -> str:
    """What `leave` would do, for a person."""
    server = api(place, [name])
    node = server.get("node", name)
    if node is None:
        return f"{name} has left {place.cluster} already"
    found = drain.pods(server, name) if _is_ready(node) else []
    told = f"{name} would leave {place.cluster}: {len(found)} pods would be evicted"
    return "; ".join([told, *map(printable, drain.losses(server, found))])
