"""Whether a member of a K3s cluster is what it is to be, and whether it may be stopped for a moment."""

import http.client
import json
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from fleet.findings import Fault, listed, printable
from fleet.members import ask
from fleet.members.access import Access


class Node(NamedTuple):
    ready: bool
    voter: bool  # K3s's own word for it: the condition EtcdIsVoter
    version: str


def node(name: str, address: str, access: Access) -> Node | None:
    """A Node as the API at `address` knows it; None when it has none of that name. Raises Fault."""
    try:
        reply = ask.get(address, f"/api/v1/nodes/{name}", access.administrator)
        found = json.loads(reply.body)
        if reply.status == 404 and found.get("reason") == "NotFound":
            return None
        conditions = {one["type"]: one["status"] for one in found["status"].get("conditions") or []}
        version = str(found["status"]["nodeInfo"]["kubeletVersion"])
        return Node(conditions.get("Ready") == "True", conditions.get("EtcdIsVoter") == "True", version)
    except (OSError, http.client.HTTPException) as error:
        raise Fault(f"the API at {address} does not answer: {printable(str(error))}") from None
    except (ValueError, LookupError, TypeError, AttributeError):
        raise Fault(f"the API at {address} answers {reply.status} for the Node {name}") from None


def ready(address: str, access: Access) -> str:
    """Why the API at `address` does not say that it is ready, with its etcd; "" when it does."""
    try:
        reply = ask.get(address, "/readyz", access.administrator)
    except (OSError, http.client.HTTPException) as error:
        return f"does not answer on port {ask.PORT}: {printable(str(error))}"
    said = printable(reply.body[:300].decode(errors="replace"))
    return "" if reply.status == 200 else f"answers {reply.status} to /readyz: {said}"


def lacking(name: str, address: str, server: str, version: str, access: Access) -> str:
    """What a member still lacks; "" when it is whole.

    `address`: a control plane's own, "" for a worker. `server`: the control plane that is asked for the Node.
    `version`: what the Node is to report, "" for any.
    """
    if address:
        if problem := ready(address, access):
            return f"{name} {problem}"
        member = next((one for one in _members(address, access) if one.node == name), None)
        if member is None:
            return f"{name} is not a member of etcd"
        if member.learner:
            return f"{name} has joined etcd, but has no vote yet"
    found = node(name, server, access)
    if found is None:
        return f"the cluster has no Node {name}"
    if not found.ready:
        return f"the Node {name} is not Ready"
    if address and not found.voter:
        return f"the Node {name} does not say EtcdIsVoter"
    if version and found.version != version:
        return f"the Node {name} reports {printable(found.version)}, not {version}"
    return ""


def may_stop(name: str, planes: Mapping[str, str], access: Access) -> str:
    """Why K3s on a control plane may not be stopped now; "" when the others keep the cluster up, or there is none.

    `planes`: each control plane's name to its address.
    """
    members = _members(planes[name], access)
    voters = [one for one in members if not one.learner]
    others = [one for one in voters if one.node != name]
    if joining := [one.node or listed(one.hosts) for one in members if one.learner and one.node != name]:
        return f"{listed(joining)} is still joining etcd"
    if not others or len(others) == len(voters):
        return ""
    absent = {}
    for one in others:
        address = planes.get(one.node) or next(iter(sorted(one.hosts)), "")
        if problem := ready(address, access):
            absent[one.node] = problem
    needed = len(voters) // 2 + 1
    if len(others) - len(absent) >= needed:
        return ""
    told = "; ".join(f"{other} {problem}" for other, problem in absent.items())
    return (
        f"etcd has {len(voters)} members with a vote and needs {needed} of them; without {name} there would be"
        f" {len(others) - len(absent)}{f' ({told})' if told else ''}"
    )


def wait(problem: Callable[[], str], seconds: float) -> str:
    """Ask for a problem until there is none, for so long; the last one, or ""."""
    end = time.monotonic() + seconds
    while True:
        try:
            found = problem()
        except Fault as fault:
            found = str(fault)
        if not found or time.monotonic() > end:
            return found
        time.sleep(0.5)


def _members(address: str, access: Access) -> list[ask.EtcdMember]:
    return ask.etcd(address, access.authority, access.tokens.password)
