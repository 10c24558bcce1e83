"""The nodes, their version and network."""

import os
from pathlib import Path

from lab.proxmox import containers, faults, state
from lab.proxmox.routes import Request, route
from lab.proxmox.schema import Prop

INTERFACES = (
    "bridge", "bond", "eth", "alias", "vlan", "fabric", "OVSBridge", "OVSBond", "OVSPort", "OVSIntPort", "vnet",
)  # fmt: skip
VERSIONS = {
    8: {"version": "8.4.14", "release": "8.4", "repoid": "b502d23c55afcba1"},
    9: {"version": "9.0.10", "release": "9.0", "repoid": "deb1ca707ec72a89"},
}


@route("GET", "/")
def index(_request: Request):
    return [{"subdir": name} for name in ("access", "cluster", "nodes", "pools", "storage", "version")]


@route("GET", "/version")
def version(_request: Request):
    return VERSIONS[faults.release()]


def _memory() -> tuple[int, int]:
    values = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    total, free = (int(values[key].split()[0]) * 1024 for key in ("MemTotal", "MemAvailable"))
    return total, total - free


def node_item(name: str) -> dict:
    if faults.offline(name):
        return {
            "id": f"node/{name}",
            "node": name,
            "type": "node",
            "status": "offline",
            "ssl_fingerprint": "",
        }
    total, used = _memory()
    return {
        "id": f"node/{name}", "node": name, "type": "node", "status": "online", "level": "",
        "maxcpu": os.cpu_count(), "cpu": round(os.getloadavg()[0] / os.cpu_count(), 4),
        "maxmem": total, "mem": used, "maxdisk": 100 * state.GIB, "disk": 10 * state.GIB,
        "uptime": int(float(Path("/proc/uptime").read_text().split()[0])), "ssl_fingerprint": "",
    }  # fmt: skip


@route("GET", "/nodes")
def nodes(_request: Request):
    return [node_item(name) for name in state.NODES]


@route("GET", "/nodes/{node}")
def node_index(_request: Request):
    return [{"name": name} for name in ("qemu", "lxc", "storage", "tasks", "version", "status", "network")]


@route("GET", "/nodes/{node}/lxc")
def node_containers(request: Request):
    found = containers.summaries(request.node)
    return [item for item in found if request.may(f"/vms/{item['vmid']}", "VM.Audit")]


@route("GET", "/nodes/{node}/status")
def node_status(request: Request):
    request.check(f"/nodes/{request.node}", "Sys.Audit")
    node, (total, used) = node_item(request.node), _memory()
    return {
        "uptime": node["uptime"], "cpu": node["cpu"], "loadavg": [f"{v:.2f}" for v in os.getloadavg()],
        "cpuinfo": {"cpus": os.cpu_count(), "cores": os.cpu_count(), "sockets": 1, "model": "stand-in"},
        "memory": {"total": total, "used": used, "free": total - used},
        "pveversion": "pve-manager/{version}/{repoid}".format(**VERSIONS[faults.release()]),
    }  # fmt: skip


@route("GET", "/nodes/{node}/version")
def node_version(_request: Request):
    return VERSIONS[faults.release()]


@route("GET", "/nodes/{node}/network")
def network(request: Request):
    request.fits({"type": Prop(enum=(*INTERFACES, "any_bridge", "any_local_bridge", "include_sdn"))})
    wanted = request.params.get("type", "include_sdn")
    allowed = request.may(f"/sdn/zones/localnetwork/{state.BRIDGE}", "SDN.Audit", "SDN.Use")
    if wanted not in ("bridge", "any_bridge", "any_local_bridge", "include_sdn") or not allowed:
        return []
    return [{"iface": state.BRIDGE, "type": "bridge", "active": 1, "autostart": 1, "cidr": "192.168.1.1/24",
             "address": "192.168.1.1", "netmask": "24", "method": "static", "priority": 1}]  # fmt: skip
