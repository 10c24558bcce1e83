"""The volumes on a storage: listed, shown, deleted."""

from lab.proxmox import guests, imports, storages, tasks, volumes
from lab.proxmox.errors import ApiError, invalid
from lab.proxmox.routes import Request, route
from lab.proxmox.schema import Prop

CONTENT = "/nodes/{node}/storage/{storage}/content"


def _item(node: str, volid: str) -> dict:
    """A volume as the list shows it; only of a guest's own volumes it tells the size that a machine sees."""
    known, file = volumes.parse(volid), volumes.path(node, volid)
    about = storages.kind(volumes.storage_of(volid))
    status = file.stat()
    item = {"volid": volid, "content": known.content, "size": status.st_size, "ctime": int(status.st_ctime)}
    if known.content != "images":
        suffix = volid.rpartition(".")[2]
        special = {"iso": "iso", "snippets": "snippet", "vztmpl": f"t{suffix}"}
        return item | {"format": special.get(known.content, suffix)}
    item |= {"format": volumes.kind(volid), "vmid": known.owner}
    if about.files:
        item["used"] = status.st_blocks * 512
    if known.base:
        item["parent"] = f"../{known.base}" if about.files else f"{known.base}@__base__"
    return item


@route("GET", CONTENT)
def storage_content(request: Request):
    storage, wanted, kind = request.names["storage"], request.number("vmid"), request.params.get("content")
    request.check(f"/storage/{storage}", "Datastore.Audit", "Datastore.AllocateSpace")
    request.fits({"content": Prop(), "vmid": Prop(check=guests.check_vmid)})
    storages.check(storage)
    found = []
    for volid in sorted(volumes.of_storage(request.node, storage), key=str.lower):
        known = volumes.parse(volid)
        if kind not in (None, known.content) or not storages.holds(storage, known.content):
            continue
        if wanted and known.owner != wanted and known.content not in ("snippets", "import"):
            continue
        try:
            imports.check_read(None, volid, request.caller)
        except ApiError:
            continue
        found.append(_item(request.node, volid))
    return found


def _volid(request: Request) -> str:
    """The volume that the path names, with its storage or without."""
    storage, name = request.names["storage"], request.names["volume"]
    if ":" not in name:
        return f"{storage}:{name}"
    if (named := volumes.storage_of(name)) != storage:
        raise invalid(volume=f"storage ID mismatch ({named} != {storage})\n")
    return name


@route("GET", f"{CONTENT}/{{volume}}")
def volume(request: Request):
    request.fits({})
    volid = _volid(request)
    imports.check_read(None, volid, request.caller)
    size, file = volumes.size(request.node, volid), volumes.path(request.node, volid)
    return {
        "path": str(file), "format": volumes.kind(volid), "size": size, "used": file.stat().st_blocks * 512,
    }  # fmt: skip


@route("DELETE", f"{CONTENT}/{{volume}}")
def delete(request: Request):
    request.fits({"delay": Prop("integer", minimum=1, maximum=30)})
    volid = _volid(request)
    storage, owner, delay = volumes.storage_of(volid), volumes.owner(volid), request.number("delay")
    request.check(f"/storage/{storage}", "Datastore.Allocate")
    upid = tasks.start(
        request.node, "imgdel", f"{owner}@{storage}" if owner else storage, request.caller.name, "delete_volume",
        node=request.node, volid=volid,
    )  # fmt: skip
    return tasks.waited(upid, delay) if delay else upid
