"""Resource pools: LAB_DIR/proxmox/pools.json."""

from lab.proxmox import state
from lab.proxmox.errors import ApiError


def _path():
    return state.root() / "pools.json"


def read() -> dict:
    return state.read_json(_path(), {})


def change(name: str, vmids=(), remove: bool = False, comment: str | None = None) -> None:
    """Add or remove members of a pool, or its comment."""
    with state.locked("pools"):
        data = read()
        if name not in data:
            raise ApiError(f"pool '{name}' does not exist")
        pool = data[name]
        pool["vms"] = sorted(set(pool["vms"]) - set(vmids) if remove else {*pool["vms"], *vmids})
        if comment is not None:
            pool["comment"] = comment
        state.write_json(_path(), data)


def create(name: str, comment: str = "") -> None:
    with state.locked("pools"):
        data = read()
        if name in data:
            raise ApiError(f"create pool failed: pool '{name}' already exists")
        state.write_json(_path(), data | {name: {"comment": comment, "vms": []}})


def delete(name: str) -> None:
    with state.locked("pools"):
        data = read()
        if name not in data:
            raise ApiError(f"delete pool failed: pool '{name}' does not exist")
        if data[name]["vms"]:
            raise ApiError(f"delete pool failed: pool '{name}' is not empty")
        del data[name]
        state.write_json(_path(), data)


def forget(vmid: int) -> None:
    """A machine was destroyed."""
    for name, pool in read().items():
        if vmid in pool["vms"]:
            change(name, [vmid], remove=True)
