"""Requests outside /nodes/{node}/qemu: nodes, cluster, storages, tasks, pools, access."""

import os
from pathlib import Path

from lab.proxmox import access, guests, pools, state, tasks, volumes
from lab.proxmox.api_qemu import next_free, summary
from lab.proxmox.errors import ApiError, invalid
from lab.proxmox.server import Request, route

VERSION = {"version": "9.0.10", "release": "9.0", "repoid": "deb1ca707ec72a89"}


@route("GET", "/version")
def version(_request: Request):
    return VERSION


def _memory() -> tuple[int, int]:
    values = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    total, free = (int(values[key].split()[0]) * 1024 for key in ("MemTotal", "MemAvailable"))
    return total, total - free


def _node(name: str) -> dict:
    total, used = _memory()
    return {
        "id": f"node/{name}", "node": name, "type": "node", "status": "online", "level": "",
        "maxcpu": os.cpu_count(), "cpu": round(os.getloadavg()[0] / os.cpu_count(), 4),
        "maxmem": total, "mem": used, "maxdisk": 100 * state.GIB, "disk": 10 * state.GIB,
        "uptime": int(float(Path("/proc/uptime").read_text().split()[0])), "ssl_fingerprint": "",
    }  # fmt: skip


@route("GET", "/nodes")
def nodes(_request: Request):
    return [_node(name) for name in state.NODES]


@route("GET", "/nodes/{node}")
def node_index(_request: Request):
    return [{"name": name} for name in ("qemu", "storage", "tasks", "version", "status", "network")]


@route("GET", "/nodes/{node}/status")
def node_status(request: Request):
    request.check(f"/nodes/{request.node}", "Sys.Audit")
    node, (total, used) = _node(request.node), _memory()
    return {
        "uptime": node["uptime"], "cpu": node["cpu"], "loadavg": [f"{v:.2f}" for v in os.getloadavg()],
        "cpuinfo": {"cpus": os.cpu_count(), "cores": os.cpu_count(), "sockets": 1, "model": "stand-in"},
        "memory": {"total": total, "used": used, "free": total - used},
        "pveversion": f"pve-manager/{VERSION['version']}/{VERSION['repoid']}",
    }  # fmt: skip


@route("GET", "/nodes/{node}/version")
def node_version(_request: Request):
    return VERSION


@route("GET", "/nodes/{node}/network")
def network(request: Request):
    return [{"iface": state.BRIDGE, "type": "bridge", "active": 1, "autostart": 1, "cidr": "192.168.1.1/24",
             "address": "192.168.1.1", "netmask": "24", "method": "static", "priority": 1}]  # fmt: skip


@route("GET", "/cluster")
def cluster_index(_request: Request):
    return [{"name": name} for name in ("resources", "nextid", "status", "tasks", "ha", "options")]


@route("GET", "/cluster/status")
def cluster_status(request: Request):
    request.check("/", "Sys.Audit")
    nodes_ = [{"id": f"node/{name}", "name": name, "type": "node", "online": 1, "nodeid": number,
               "ip": f"192.168.1.{number}", "local": int(number == 1), "level": ""}
              for number, name in enumerate(state.NODES, 1)]  # fmt: skip
    return [
        {"id": "cluster", "name": "lab", "type": "cluster", "nodes": len(nodes_), "quorate": 1, "version": 2},
        *nodes_,
    ]


@route("GET", "/cluster/resources")
def resources(request: Request):
    kind = request.params.get("type")
    if kind not in (None, "vm", "storage", "node", "sdn"):
        raise invalid(
            type=f"value '{kind}' does not have a value in the enumeration 'vm, storage, node, sdn'"
        )
    result = []
    if kind in (None, "vm"):
        of_pool = {vmid: name for name, pool in pools.read().items() for vmid in pool["vms"]}
        for guest in guests.all_guests():
            if request.may(f"/vms/{guest.vmid}", "VM.Audit"):
                item = summary(guest) | {"id": f"qemu/{guest.vmid}", "type": "qemu", "node": guest.node}
                item |= {"maxcpu": item.pop("cpus"), "template": int(guest.template)}
                if guest.vmid in of_pool:
                    item["pool"] = of_pool[guest.vmid]
                item.pop("pid", None)
                result.append(item)
    if kind in (None, "node"):
        result += [_node(name) for name in state.NODES]
    if kind in (None, "storage"):
        for name in state.NODES:
            for storage, about in state.STORAGES.items():
                if request.may(f"/storage/{storage}", "Datastore.Audit", "Datastore.AllocateSpace"):
                    used, total = volumes.usage(name, storage)
                    result.append({
                        "id": f"storage/{name}/{storage}", "type": "storage", "node": name,
                        "storage": storage, "status": "available",
                        "shared": 0, "disk": used, "maxdisk": total,
                        "plugintype": about["type"], "content": about["content"],
                    })  # fmt: skip
    return result


@route("GET", "/cluster/nextid")
def nextid(request: Request):
    wanted = request.number("vmid")
    if wanted is None:
        return str(next_free())
    if guests.find(wanted):
        raise invalid(vmid=f"VM {wanted} already exists")
    return str(wanted)


@route("GET", "/cluster/tasks")
def cluster_tasks(_request: Request):
    return [task for name in state.NODES for task in tasks.listed(name)][:50]


@route("GET", "/cluster/ha/resources")
def ha_resources(request: Request):
    request.check("/", "Sys.Audit")
    return []


@route("GET", "/cluster/ha/resources/{sid}")
def ha_resource(request: Request):
    request.check("/", "Sys.Audit")
    raise ApiError(f"no such resource '{request.names['sid']}'")


@route("GET", "/cluster/options")
def options(_request: Request):
    return {"mac_prefix": "BC:24:11"}


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
    if request.params.get("content", "images") != "images":
        return []
    for volid in volumes.of_storage(request.node, storage):
        owner = volumes.owner(volid)
        if wanted is None or owner == wanted:
            size = volumes.size(request.node, volid)
            item = {"volid": volid, "content": "images", "format": volumes.kind(volid), "size": size}
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


@route("GET", "/nodes/{node}/tasks")
def task_list(request: Request):
    found, wanted = tasks.listed(request.node), request.params.get("vmid")
    if not request.may(f"/nodes/{request.node}", "Sys.Audit"):
        found = [task for task in found if task["user"] == request.caller.user]
    found = [task for task in found if wanted is None or task["id"] == str(wanted)]
    return found[request.number("start", 0) :][: request.number("limit", 50)]


def _own_task(request: Request) -> str:
    upid = request.names["upid"]
    if tasks.parse(upid).user.partition("!")[0] != request.caller.user:
        request.check(f"/nodes/{request.node}", "Sys.Audit")
    return upid


@route("GET", "/nodes/{node}/tasks/{upid}/status")
def task_status(request: Request):
    return tasks.status(_own_task(request))


@route("GET", "/nodes/{node}/tasks/{upid}/log")
def task_log(request: Request):
    lines = tasks.lines_of(_own_task(request)) or ["no content"]
    first = request.number("start", 0)
    return [{"n": n, "t": t} for n, t in enumerate(lines, 1)][first:][: request.number("limit", 50)]


@route("DELETE", "/nodes/{node}/tasks/{upid}")
def task_stop(request: Request):
    tasks.stop(_own_task(request))


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


@route("POST", "/access/ticket")
def ticket(request: Request):
    user = request.required("username")
    realm = request.params.get("realm")
    return access.login(
        f"{user}@{realm}" if realm and "@" not in user else user, request.required("password")
    )


@route("GET", "/access/permissions")
def permissions(request: Request):
    path = request.params.get("path")
    paths = [path] if path else ["/", "/access", "/nodes", "/pool", "/sdn", "/storage", "/vms"]
    return {p: dict.fromkeys(sorted(access.privileges(request.caller, p)), 1) for p in paths}


@route("GET", "/access/roles")
def roles(_request: Request):
    known = access.ROLES | access.read()["roles"]
    return [
        {"roleid": name, "privs": ",".join(privs), "special": int(name in access.ROLES)}
        for name, privs in known.items()
    ]


@route("GET", "/access/acl")
def acl(request: Request):
    request.check("/access", "Permissions.Modify", "Sys.Audit")
    return access.read()["acl"]


@route("PUT", "/access/acl")
def acl_change(request: Request):
    path = request.required("path")
    request.check(path, "Permissions.Modify")
    access.grant(
        path, request.required("roles").split(","), request.params.get("users"), request.params.get("tokens"),
        propagate=request.flag("propagate", True), remove=request.flag("delete"),
    )  # fmt: skip


@route("POST", "/access/roles")
def role_create(request: Request):
    request.check("/access", "Sys.Modify")
    access.add_role(request.required("roleid"), request.params.get("privs", ""))


@route("POST", "/access/users")
def user_create(request: Request):
    request.check("/access", "User.Modify")
    access.add_user(request.required("userid"))


@route("POST", "/access/users/{user}/token/{token}")
def token_create(request: Request):
    user, token = request.names["user"], request.names["token"]
    if user != request.caller.user:
        request.check(f"/access/users/{user}", "User.Modify")
    return access.add_token(user, token, request.flag("privsep", True), request.number("expire", 0))


@route("GET", "/")
def index(_request: Request):
    return [{"subdir": name} for name in ("access", "cluster", "nodes", "pools", "storage", "version")]
