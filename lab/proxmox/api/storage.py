"""Storages and the volumes on them."""

from lab.proxmox import state, volumes
from lab.proxmox.routes import Request, route


def _storage(node: str, name: str) -> dict:
    about = volumes.check_storage(name)
    used, total = volumes.usage(node, name)
    return {"type": about["type"], "content": about["content"], "active": 1, "enabled": 1, "shared": 0,
            "total": total, "used": used, "avail": total - used}  # fmt: skip


def _may_use(request: Request, storage: str) -> None:
    request.check(f"/storage/{storage}", "Datastore.Audit", "Datastore.AllocateSpace")


@route("GET", "/storage")
def storages(request: Request):
    return [{"storage": name, "type": about["type"], "content": about["content"], "digest": ""}
            for name, about in state.STORAGES.items()
            if request.may(f"/storage/{name}", "Datastore.Audit", "Datastore.AllocateSpace")]  # fmt: skip


@route("GET", "/nodes/{node}/storage")
def node_storages(request: Request):
    content = request.params.get("content")
    return [
        {"storage": name, **_storage(request.node, name)}
        for name, about in state.STORAGES.items()
        if request.may(f"/storage/{name}", "Datastore.Audit", "Datastore.AllocateSpace")
        and (not content or set(content.split(",")) & set(about["content"].split(",")))
        and request.params.get("storage", name) == name
    ]


@route("GET", "/nodes/{node}/storage/{storage}/status")
def storage_status(request: Request):
    _may_use(request, request.names["storage"])
    return _storage(request.node, request.names["storage"])


@route("GET", "/nodes/{node}/storage/{storage}/content")
def storage_content(request: Request):
    storage = request.names["storage"]
    volumes.check_storage(storage)
    _may_use(request, storage)
    wanted, result = request.number("vmid"), []
    kind = request.params.get("content")
    for volid in volumes.of_storage(request.node, storage):
        owner, content = volumes.owner(volid), volumes.content(volid)
        if (wanted is None or owner == wanted) and kind in (None, content):
            size, shown = volumes.size(request.node, volid), volumes.kind(volid)
            shown = content if content in ("iso", "snippets") else shown
            item = {"volid": volid, "content": content, "format": shown, "size": size}
            result.append(item | ({"vmid": owner} if owner else {}))
    return result


@route("GET", "/nodes/{node}/storage/{storage}/content/{volume}")
def storage_volume(request: Request):
    storage, name = request.names["storage"], request.names["volume"]
    _may_use(request, storage)
    volid = name if name.startswith(f"{storage}:") else f"{storage}:{name}"
    size = volumes.size(request.node, volid)
    file = volumes.path(request.node, volid)
    return {
        "path": str(file),
        "format": volumes.kind(volid),
        "size": size,
        "used": file.stat().st_blocks * 512,
    }
