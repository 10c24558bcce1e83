"""How much room nodes and storages have, by one call of Proxmox's API."""

from collections.abc import Mapping
from typing import NamedTuple

from fleet.proxmox.client import Client


class Node(NamedTuple):
    """Memory in bytes. `promised`: what the guests that run on it may take together, which may be more than it has."""

    name: str
    online: bool
    memory: int
    used: int
    promised: int


class Storage(NamedTuple):
    """In bytes. `node`: "" where all nodes share it."""

    name: str
    node: str
    total: int
    used: int


class Room(NamedTuple):
    nodes: Mapping[str, Node]
    storages: Mapping[tuple[str, str], Storage]  # by name and node


def read(client: Client) -> Room:
    """What the token may see. An offline node has no figures."""
    nodes, storages, promised = {}, {}, dict[str, int]()
    listed = client.get("cluster/resources")
    for one in listed:
        if one["type"] in ("qemu", "lxc") and one.get("status") == "running":
            promised[one["node"]] = promised.get(one["node"], 0) + int(one.get("maxmem") or 0)
    for one in listed:
        if one["type"] == "node":
            name, online = one["node"], one.get("status") == "online"
            figures = (int(one.get("maxmem") or 0), int(one.get("mem") or 0))
            nodes[name] = Node(name, online, *figures, promised.get(name, 0))
        elif one["type"] == "storage" and int(one.get("maxdisk") or 0):
            name, node = one["storage"], "" if int(one.get("shared") or 0) else one["node"]
            storages[name, node] = Storage(name, node, int(one["maxdisk"]), int(one.get("disk") or 0))
    return Room(dict(sorted(nodes.items())), dict(sorted(storages.items())))
