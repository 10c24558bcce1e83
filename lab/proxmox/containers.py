"""Containers, as far as they get in a machine's way: LAB_DIR/proxmox/containers.json, by VMID.

They take VMIDs and names and are in the lists; nothing can be done with them. A test or a person writes them.
"""

from lab.proxmox import state


def _path():
    return state.root() / "containers.json"


def read() -> dict[int, dict]:
    """Each container's node, name, status and tags by its VMID."""
    return {int(vmid): about for vmid, about in state.read_json(_path(), {}).items()}


def add(vmid: int, name: str, node: str = state.NODES[0], status: str = "running", tags: str = "") -> None:
    about = {"node": node, "name": name, "status": status} | ({"tags": tags} if tags else {})
    with state.locked("containers"):
        state.write_json(_path(), {**read(), vmid: about})


def remove(vmid: int) -> None:
    with state.locked("containers"):
        state.write_json(_path(), {key: about for key, about in read().items() if key != vmid})


def summaries(node: str | None = None) -> list[dict]:
    """Containers as the lists show them."""
    return [
        {"vmid": vmid, "name": about["name"], "status": about["status"], "node": about["node"], "type": "lxc",
         "cpu": 0, "mem": 0, "maxmem": 512 << 20, "disk": 0, "maxdisk": 8 << 30, "uptime": 0,
         **({"tags": about["tags"]} if "tags" in about else {})}
        for vmid, about in sorted(read().items())
        if node in (None, about["node"])
    ]  # fmt: skip
