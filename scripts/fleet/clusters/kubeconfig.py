"""One kubeconfig with a context for each machine: a machine's own is merged in, or taken out again.

All functions here work on parsed data and keep every entry of others as the very same object.
"""

import base64
import ipaddress
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from fleet.findings import Fault
from fleet.names import is_context

PARTS = {"clusters": "cluster", "contexts": "context", "users": "user"}
FILES = ("certificate-authority", "client-certificate", "client-key", "tokenFile")
HIDDEN = ("DATA+OMITTED", "REDACTED")  # what kubectl shows of them
HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")
CLUSTER = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._@:/-]{0,251}[A-Za-z0-9])?")

FIRST = (
    "amber ample azure bold brave breezy bright brisk calm candid cheery clear cosmic cozy crisp dapper "
    "deep early eager fair fleet fond fresh gentle glad golden grand happy hardy hazel humble jolly keen "
    "kind lively lucid lucky lunar mellow merry mighty misty noble patient placid plucky polar proud "
    "quick quiet rapid rosy royal serene sharp silent silver snug solar solid sonic spry steady sunny "
    "swift tidy vivid warm wise witty"
)
SECOND = (
    "acre anchor arbor arch aspen badger bay beacon birch bluff breeze bridge brook canyon cedar cliff "
    "cloud coast comet cove crane creek dale delta dune ember falcon fern field fjord forest garden glade "
    "glen grove harbor haven heron hill hollow inlet island lagoon lake lantern ledge maple marsh meadow "
    "mesa moor oasis orchard osprey otter peak pine plain pond prairie quarry rapids reef ridge river "
    "shore spring summit terrace trail tundra vale valley willow wren"
)


class Change(NamedTuple):
    data: dict[str, Any]
    cluster: str | None
    notes: list[str]


def check(data: dict[str, Any], what: str) -> None:
    """Raise Fault for data that no kubeconfig would hold. An empty one is fine."""
    if data.get("kind", "Config") != "Config" or str(data.get("apiVersion", "v1")) != "v1":
        raise Fault(f"{what} is not a kubeconfig: its kind is not Config of v1")
    if data and "kind" not in data and not set(PARTS) & set(data):
        raise Fault(f"{what} is not a kubeconfig: it has no clusters, contexts and users")
    for part, inner in PARTS.items():
        entries = data.get(part) or []
        if not isinstance(entries, list):
            raise Fault(f"{what} is not a kubeconfig: its {part} are no list")
        for number, entry in enumerate(entries, 1):
            body = entry.get(inner) or {} if isinstance(entry, dict) else None
            if not isinstance(body, dict) or not isinstance(entry.get("name"), str):
                raise Fault(
                    f"{what} is not a kubeconfig: number {number} of its {part} has no name or {inner}"
                )


def merge(
    old: dict[str, Any], new: dict[str, Any], machine: str, address: str | None, given: str | None = None
) -> Change:
    """`old` with the current context of `new` as context `machine`.

    `address` takes the place of a server's host that is only right on the machine itself. The cluster and the
    user are called `given`, else as they were, else by a drawn name. Raises Fault.
    """
    context, cluster, user = _chosen(new, machine)
    _refuse_useless(cluster["cluster"], user["user"])
    server = server_at(cluster["cluster"]["server"], address)
    data = {"apiVersion": "v1", "kind": "Config"} | old | {part: list(old.get(part) or []) for part in PARTS}
    own, others = _contexts(data, machine)
    name, notes = _name(data, own, others, machine, given)
    body = context["context"] | {"cluster": name, "user": name}
    entries = {
        "contexts": context | {"name": machine, "context": body},
        "clusters": cluster | {"name": name, "cluster": cluster["cluster"] | {"server": server}},
        "users": user | {"name": name},
    }
    for part, inner in PARTS.items():
        leaving = _leaving(own, others, inner) | {name} if part != "contexts" else {machine}
        data[part] = _put(data[part], leaving, entries[part])
    if _current(data) is None:
        data["current-context"] = machine
    notes += _same_as(others, data, entries["clusters"])
    return Change(
        _tidy(data, old), name, notes + _beyond(machine, cluster["cluster"], user["user"]) + dangling(data)
    )


def remove(old: dict[str, Any], machine: str) -> Change:
    """`old` without the machine's context and what only that one used."""
    own, others = _contexts(old, machine)
    if not own:
        return Change(old, None, dangling(old))
    data = dict(old)
    for part, inner in PARTS.items():
        leaving = _leaving(own, others, inner) if part != "contexts" else {machine}
        if isinstance(old.get(part), list):
            data[part] = [entry for entry in old[part] if entry["name"] not in leaving]
    if old.get("current-context") == machine:
        data["current-context"] = ""  # and no other: a command without --context must not hit another cluster
    cluster = _body(own[0]).get("cluster")
    notes = [
        f"context {c['name']} uses {cluster} too, so that stays"
        for c in others
        if _body(c).get("cluster") == cluster
    ]
    return Change(data, cluster, notes + dangling(data))


def dangling(data: dict[str, Any]) -> list[str]:
    """The contexts that point at nothing, in words."""
    names = {part: {entry["name"] for entry in data.get(part) or []} for part in PARTS}
    said = []
    for context in data.get("contexts") or []:
        for part, inner in (("clusters", "cluster"), ("users", "user")):
            if _body(context).get(inner) not in names[part]:
                said.append(f"context {context['name']} points at a {inner} that does not exist")
    if data.get("current-context") and data["current-context"] not in names["contexts"]:
        said.append("current-context points at a context that does not exist")
    return said


def server_at(server: Any, address: str | None) -> str:
    """A server's URL with `address` instead of a host that means the machine itself. Raises Fault."""
    try:
        url = urlsplit(server)
        host, port = url.hostname or "", url.port
    except (ValueError, AttributeError, TypeError):
        host, port = "", None
    if not host or url.scheme not in ("https", "http"):
        raise Fault("the kubeconfig's server is no URL; expected https://HOST:PORT")
    if not _is_local(host):
        return server
    if not address:
        raise Fault(f"the kubeconfig's server is {host}, the machine itself; its address is needed")
    user, at, _ = url.netloc.rpartition("@")
    if _is_local(address.strip("[]")):
        raise Fault(f"the address {address} is the machine itself; nobody else could use such a server")
    place = user + at + _checked_host(address) + (f":{port}" if port is not None else "")
    return url._replace(netloc=place).geturl()


def draws(machine: str) -> Iterator[str]:
    """Names such as cozy-haven without end, for one machine always the same ones."""
    from random import Random

    chance, first, second = Random(machine), FIRST.split(), SECOND.split()
    for number in range(1, 1 << 30):
        more = f"-{number}" if number > 200 else ""
        yield f"{chance.choice(first)}-{chance.choice(second)}{more}"


def _beyond(machine: str, cluster: dict[str, Any], user: dict[str, Any]) -> list[str]:
    """What a machine's kubeconfig makes happen on the computer of whoever uses it, in words."""
    notes = []
    if user.get("exec") or user.get("auth-provider"):
        notes.append(f"the kubeconfig of {machine} runs a command on the computer of whoever uses it")
    if files := [key for key in FILES if key in cluster or key in user]:
        notes.append(f"the kubeconfig of {machine} names files of whoever uses it: {', '.join(files)}")
    return notes


def _same_as(others: list[dict], data: dict[str, Any], own: dict[str, Any]) -> list[str]:
    """Machines with the same certificate authority, which K3s makes anew for each, in words."""

    def authority(entry: dict[str, Any]) -> Any:
        return (entry.get("cluster") or {}).get("certificate-authority-data")

    if not authority(own):
        return []
    alike = {entry["name"] for entry in data["clusters"] if authority(entry) == authority(own)}
    alike -= {own["name"]}
    same = [context["name"] for context in others if _body(context).get("cluster") in alike]
    said = "has the same certificate authority: is this that machine's file?"
    return [f"context {name} {said}" for name in filter(is_context, same)]


def _is_local(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host.rstrip(".").lower() in ("localhost", "ip6-localhost", "ip6-loopback")
    address = getattr(address, "ipv4_mapped", None) or address  # before Python 3.13 that is no loopback
    return address.is_loopback or address.is_unspecified


def _checked_host(address: str) -> str:
    try:
        found = ipaddress.ip_address(address.strip("[]"))
    except ValueError:
        if HOST.fullmatch(address):
            return address
        raise Fault(f"{address!r} is neither an IP address nor a host name") from None
    return f"[{found}]" if found.version == 6 else str(found)


def _refuse_useless(cluster: dict[str, Any], user: dict[str, Any]) -> None:
    """Raise Fault for credentials of no use; a field that is no base64 breaks kubectl for all clusters."""
    for key, value in (cluster | user).items():
        if not key.endswith("-data"):
            continue
        if value in HIDDEN:
            raise Fault(f"the kubeconfig's {key} is hidden; `kubectl config view` needs --raw --minify")
        try:
            base64.b64decode("".join(value.split()), validate=True)
        except (ValueError, AttributeError):
            raise Fault(f"the kubeconfig's {key} is no base64: is it cut off?") from None
    halves = [
        part for part in ("certificate", "key") if {f"client-{part}", f"client-{part}-data"} & user.keys()
    ]
    if len(halves) == 1:
        raise Fault(
            f"the kubeconfig's user has a client {halves[0]}, but not its other half: nobody could log in"
        )


def _chosen(new: dict[str, Any], machine: str) -> list[dict[str, Any]]:
    """The context of the machine, else the current one, else the only one; its cluster and its user."""
    contexts = new.get("contexts") or []
    names = [machine, new.get("current-context")]
    current = next(
        (found for name in names if (found := [c for c in contexts if c["name"] == name])), contexts
    )
    if not current:
        raise Fault("the kubeconfig has no context")
    if len(current) > 1:
        raise Fault("the kubeconfig has several contexts and its current-context is none of them; set it")
    found = current[:1]
    for part, inner in (("clusters", "cluster"), ("users", "user")):
        wanted = _body(current[0]).get(inner)
        entry = next((entry for entry in new.get(part) or [] if entry["name"] == wanted), None)
        if entry is None or not entry.get(inner):
            raise Fault(f"the kubeconfig's context points at a {inner} that does not exist or is empty")
        found.append(entry)
    if "server" not in found[1]["cluster"]:
        raise Fault("the kubeconfig's cluster has no server")
    return found


def _contexts(data: dict[str, Any], machine: str) -> tuple[list[dict], list[dict]]:
    own, others = [], []
    for context in data.get("contexts") or []:
        (own if context["name"] == machine else others).append(context)
    return own, others


def _name(
    data: dict[str, Any], own: list[dict], others: list[dict], machine: str, given: str | None
) -> tuple[str, list[str]]:
    stored = _body(own[0]).get("cluster") if own else None
    if given is not None:
        if not CLUSTER.fullmatch(given):
            raise Fault(f"{given!r} is no name for a cluster: letters, digits and ._@:/- are", code=2)
        if owners := _owners(others, given, stored):
            raise Fault(f"the cluster name {given} of {machine} is that of {owners[0]} already; give another")
        return given, []
    notes = []
    if isinstance(stored, str) and CLUSTER.fullmatch(stored):
        owners = _owners(others, stored, stored)
        if not owners:
            return stored, []
        notes = [f"the name {stored} is that of {owners[0]} too, {machine} gets another"]
    taken = {entry["name"] for part in ("clusters", "users") for entry in data[part]}
    taken |= _used(others, "cluster") | _used(others, "user")
    return next(name for name in draws(machine) if name not in taken), notes


def _owners(others: list[dict], name: str, stored: str | None) -> list[str]:
    """Contexts that a cluster or user of this name belongs to. A person's alias of our own is no owner."""
    found = []
    for context in others:
        body = _body(context)
        alias = stored is not None and body.get("cluster") == stored and not is_context(context["name"])
        if name in (body.get("cluster"), body.get("user")) and not alias:
            found.append(context["name"])
    return found


def _leaving(own: list[dict], others: list[dict], inner: str) -> set[str]:
    return _used(own, inner) - _used(others, inner)


def _used(contexts: Iterable[dict], inner: str) -> set[str]:
    return {name for context in contexts if isinstance(name := _body(context).get(inner), str)}


def _body(context: dict[str, Any]) -> dict[str, Any]:
    return context.get("context") or {}


def _put(entries: list[dict], leaving: set[str], new: dict[str, Any]) -> list[dict]:
    """The list with `new` in the place of the first of those that leave, or at the end."""
    result, placed = [], False
    for entry in entries:
        if entry["name"] not in leaving:
            result.append(entry)
        elif not placed:
            result.append(entry if entry == new else new)
            placed = True
    return result if placed else [*result, new]


def _current(data: dict[str, Any]) -> str | None:
    """The current context if it exists."""
    current = data.get("current-context")
    return current if any(context["name"] == current for context in data["contexts"]) else None


def _tidy(data: dict[str, Any], old: dict[str, Any]) -> dict[str, Any]:
    """In the order of `old`; of a new one in kubectl's."""
    order = list(old) or ["apiVersion", "clusters", "contexts", "current-context", "kind", "users"]
    return {key: data[key] for key in [*order, *(key for key in data if key not in order)]}
