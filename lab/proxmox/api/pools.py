"""Resource pools."""

from lab.proxmox import guests, pools
from lab.proxmox.errors import ApiError
from lab.proxmox.routes import Request, route
from lab.proxmox.summary import summary


@route("GET", "/pools")
def pool_list(request: Request):
    wanted = request.params.get("poolid")
    if wanted is not None:
        return [_pool(request, wanted)]
    found = pools.read().items()
    return [
        {"poolid": n, "comment": p["comment"]} for n, p in found if request.may(f"/pool/{n}", "Pool.Audit")
    ]


@route("GET", "/pools/{pool}")
def pool_get(request: Request):
    return _pool(request, request.names["pool"])


def _pool(request: Request, name: str) -> dict:
    request.check(f"/pool/{name}", "Pool.Audit")
    if name not in pools.read():
        raise ApiError(f"pool '{name}' does not exist")
    pool = pools.read()[name]
    members = [summary(g) | {"id": f"qemu/{g.vmid}", "type": "qemu", "node": g.node}
               for g in map(guests.find, pool["vms"]) if g]  # fmt: skip
    return {"poolid": name, "comment": pool["comment"], "members": members}


@route("POST", "/pools")
def pool_create(request: Request):
    name = request.required("poolid")
    request.check(f"/pool/{name}", "Pool.Allocate")
    pools.create(name, request.params.get("comment", ""))


@route("PUT", "/pools/{pool}")
def pool_put(request: Request):
    _pool_change(request, request.names["pool"])


@route("PUT", "/pools")
def pool_put_new(request: Request):
    _pool_change(request, request.required("poolid"))


def _pool_change(request: Request, name: str) -> None:
    request.check(f"/pool/{name}", "Pool.Allocate")
    vmids = [int(v) for v in str(request.params.get("vms", "")).split(",") if v]
    pools.change(name, vmids, request.flag("delete"), request.params.get("comment"))


@route("DELETE", "/pools/{pool}")
def pool_delete(request: Request):
    request.check(f"/pool/{request.names['pool']}", "Pool.Allocate")
    pools.delete(request.names["pool"])
