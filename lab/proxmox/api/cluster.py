"""The cluster as a whole: its status, all that is in it, the next free VMID."""

import re

from lab.proxmox import containers, datacenter, faults, guests, ha, pools, state, tasks, volumes
from lab.proxmox.api.nodes import node_item
from lab.proxmox.errors import invalid
from lab.proxmox.routes import Request, route
from lab.proxmox.schema import Prop
from lab.proxmox.summary import summary


@route("GET", "/cluster")
def cluster_index(_request: Request):
    return [{"name": name} for name in ("resources", "nextid", "status", "tasks", "ha", "options")]


@route("GET", "/cluster/status")
def cluster_status(request: Request):
    request.check("/", "Sys.Audit")
    nodes_ = [{"id": f"node/{name}", "name": name, "type": "node", "nodeid": number,
               "online": int(not faults.offline(name)), "ip": f"192.168.1.{number}",
               "local": int(number == 1), "level": ""}
              for number, name in enumerate(state.NODES, 1)]  # fmt: skip
    return [
        {"id": "cluster", "name": "lab", "type": "cluster", "nodes": len(nodes_), "quorate": 1, "version": 2},
        *nodes_,
    ]


@route("GET", "/cluster/resources")
def resources(request: Request):
    request.fits({"type": Prop(enum=("vm", "storage", "node", "sdn"))})
    kind = request.params.get("type")
    result = []
    if kind in (None, "vm"):
        of_pool = {vmid: name for name, pool in pools.read().items() for vmid in pool["vms"]}
        for guest in guests.all_guests():
            if request.may(f"/vms/{guest.vmid}", "VM.Audit"):
                item = summary(guest) | {"id": f"qemu/{guest.vmid}", "type": "qemu", "node": guest.node}
                item |= {"maxcpu": item.pop("cpus"), "template": int(guest.template)}
                if service := ha.manages(guest.vmid):
                    item["hastate"] = service["state"]
                if guest.vmid in of_pool:
                    item["pool"] = of_pool[guest.vmid]
                item.pop("pid", None)
                if faults.offline(guest.node):  # what was last heard of it
                    item = {k: v for k, v in item.items() if k not in ("cpu", "mem", "uptime")} | {
                        "status": "unknown"
                    }
                result.append(item)
        for item in containers.summaries():
            if request.may(f"/vms/{item['vmid']}", "VM.Audit"):
                result.append(item | {"id": f"lxc/{item['vmid']}", "template": 0, "maxcpu": 1})
    if kind in (None, "node"):
        result += [node_item(name) for name in state.NODES]
    if kind in (None, "storage"):
        for name in state.NODES:
            for storage, about in state.STORAGES.items():
                if request.may(f"/storage/{storage}", "Datastore.Audit", "Datastore.AllocateSpace"):
                    used, total = volumes.usage(name, storage)
                    result.append({
                        "id": f"storage/{name}/{storage}", "type": "storage", "node": name,
                        "storage": storage, "status": "unknown" if faults.offline(name) else "available",
                        "shared": about.get("shared", 0), "disk": used, "maxdisk": total,
                        "plugintype": about["type"], "content": about["content"],
                    })  # fmt: skip
    return result


@route("GET", "/cluster/nextid")
def nextid(request: Request):
    request.fits({"vmid": Prop(check=guests.check_vmid)})
    wanted = request.number("vmid")
    if wanted is None:
        return str(datacenter.next_id())
    if guests.find(wanted) or wanted in containers.read():
        raise invalid(vmid=f"VM {wanted} already exists")
    return str(wanted)


@route("GET", "/cluster/tasks")
def cluster_tasks(_request: Request):
    return [task for name in state.NODES for task in tasks.listed(name)][:50]


@route("GET", "/cluster/options")
def options(request: Request):
    return (datacenter.shown() if request.may("/", "Sys.Audit") else {}) | {"allowed-tags": []}


@route("PUT", "/cluster/options")
def change_options(request: Request):
    request.check("/", "Sys.Modify")
    request.fits({"next-id": Prop(check=datacenter.check_next_id), "delete": Prop()})
    wanted = dict(request.params)
    delete = re.split(r"[,; ]+", wanted.pop("delete", ""))
    datacenter.change(wanted, delete)
