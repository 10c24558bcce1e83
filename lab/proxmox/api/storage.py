"""Storages: how they are defined, and what each node sees of them."""

from lab.proxmox import state, storages, volumes
from lab.proxmox.errors import invalid
from lab.proxmox.routes import Request, route
from lab.proxmox.schema import Format, Prop

LIST: Format = {
    **dict.fromkeys(("storage", "content", "target"), Prop()),
    **dict.fromkeys(("enabled", "format"), Prop("boolean")),
}
USE = ("Datastore.Audit", "Datastore.AllocateSpace")


def _defined(name: str) -> dict:
    about = {key: value for key, value in storages.check(name).items() if key != "total"}
    return about | {"storage": name, "digest": ""}


def _status(node: str, name: str, formats: bool = False) -> dict:
    about, kind = storages.check(name), storages.kind(name)
    used, total = volumes.usage(node, name)
    found = {
        "type": about["type"], "content": about["content"], "active": 1, "enabled": 1,
        "shared": int(storages.shared(name)), "total": total, "used": used, "avail": total - used,
    }  # fmt: skip
    if formats:
        found["formats"] = {"supported": sorted(kind.formats), "default": kind.formats[0]}
        found["format"] = [dict.fromkeys(kind.formats, 1), kind.formats[0]]
    return found


@route("GET", "/storage")
def index(request: Request):
    request.fits({"type": Prop()})
    kind = request.params.get("type")
    return [
        _defined(name)
        for name, about in state.STORAGES.items()
        if request.may(f"/storage/{name}", *USE) and kind in (None, about["type"])
    ]


@route("GET", "/storage/{storage}")
def definition(request: Request):
    request.check(f"/storage/{request.names['storage']}", "Datastore.Allocate")
    request.fits({})
    return _defined(request.names["storage"])


@route("GET", "/nodes/{node}/storage")
def node_storages(request: Request):
    request.fits(LIST)
    wanted, target = request.params.get("storage"), request.params.get("target", request.node)
    kinds = set(request.params.get("content", "").split(",")) - {""}
    fitting = {
        name: _status(request.node, name, request.flag("format"))
        for name, about in state.STORAGES.items()
        if not kinds or kinds & set(about["content"].split(","))
    }
    if wanted and wanted not in fitting:
        raise invalid(storage="No such storage.")
    return [
        {"storage": name, **status, "used_fraction": status["used"] / status["total"]}
        for name, status in fitting.items()
        if request.may(f"/storage/{name}", *USE)
        and wanted in (None, name)
        and (target == request.node or status["shared"])
    ]


@route("GET", "/nodes/{node}/storage/{storage}/status")
def storage_status(request: Request):
    name = request.names["storage"]
    request.check(f"/storage/{name}", *USE)
    request.fits({})
    if name not in state.STORAGES:
        raise invalid(storage="No such storage.")
    return _status(request.node, name)
