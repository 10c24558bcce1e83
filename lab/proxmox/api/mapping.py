"""Mapped devices: which there are, and what they stand for on each node."""

from lab.proxmox import mappings
from lab.proxmox.errors import ApiError, invalid_keys
from lab.proxmox.routes import Request, route
from lab.proxmox.schema import UNKNOWN

SEEN_WITH = ("Mapping.Use", "Mapping.Modify", "Mapping.Audit")


@route("GET", "/cluster/mapping")
def kinds(_request: Request):
    return [{"name": kind} for kind in mappings.KINDS]


@route("GET", "/cluster/mapping/{mapped}")
def listed(request: Request):
    kind = request.names["mapped"]
    seen = {n: m for n, m in mappings.read(kind).items() if request.may(f"/mapping/{kind}/{n}", *SEEN_WITH)}
    return [{"id": name, "type": kind, "digest": "", **mapping} for name, mapping in seen.items()]


@route("GET", "/cluster/mapping/{mapped}/{id}")
def one(request: Request):
    kind, name = request.names["mapped"], request.names["id"]
    request.check(f"/mapping/{kind}/{name}", *SEEN_WITH)
    if name not in mappings.read(kind):
        raise ApiError(f"mapping '{name}' not found")
    return {"type": kind, "digest": "", **mappings.read(kind)[name]}


@route("POST", "/cluster/mapping/{mapped}")
def create(request: Request):
    kind = request.names["mapped"]
    request.check(f"/mapping/{kind}", "Mapping.Modify")
    name, entries = request.required("id"), request.params.get("map", [])
    if unknown := request.params.keys() - {"id", "map", "description", "mdev", "live-migration-capable"}:
        raise invalid_keys(dict.fromkeys(unknown, UNKNOWN))
    if name in mappings.read(kind):
        raise ApiError(f"create hardware mapping failed: {kind} ID '{name}' already defined")
    entries = entries if isinstance(entries, list) else [entries]
    mappings.write(kind, name, entries, request.params.get("description", ""))


@route("DELETE", "/cluster/mapping/{mapped}/{id}")
def delete(request: Request):
    request.check(f"/mapping/{request.names['mapped']}", "Mapping.Modify")
    mappings.write(request.names["mapped"], request.names["id"], None)
