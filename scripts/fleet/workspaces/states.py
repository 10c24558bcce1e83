"""What the states of workspaces say where the maps and Vault do not: of one that left them, or lost its cluster."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from fleet.clusters import shared_kubeconfig
from fleet.clusters.vault import Store
from fleet.files import temporary
from fleet.findings import Fault, listed
from fleet.releases import left
from fleet.releases.root import Root
from fleet.workspaces.maps import Maps, Workspace


def of(maps: Maps, name: str, directory: Path) -> Workspace:
    """The workspace of this name. Raises Fault, which tells what became of one whose state has something left."""
    if name in maps.workspaces:
        return maps.workspaces[name]
    import difflib

    with reading(directory) as root:
        if name in root.workspaces():
            root.select(name)
            if found := left.left_maps(name, root.state()):
                raise Fault(found.message)
    near = difflib.get_close_matches(name, maps.workspaces, 1, 0.6)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise Fault(f"there is no workspace {name}; workspaces: {listed(sorted(maps.workspaces))}{hint}", code=2)


@contextlib.contextmanager
def reading(directory: Path) -> Iterator[Root]:
    """Terraform for questions about states, without a cluster."""
    with temporary("proxmox-gitops-") as folder:
        root = Root(directory, folder / "data")
        root.init()
        yield root


def owners(there: set[str], maps: Maps, workspace: Workspace, directory: Path) -> dict[str, str]:
    """Which of these releases, as NAMESPACE/NAME, the state of another workspace has that is on the same cluster.

    One that left the maps may be on it.
    """
    if not there:
        return {}
    found = {}
    with reading(directory) as root:
        for name in root.workspaces():
            other = maps.workspaces.get(name)
            if name == workspace.name or (other and other.context != workspace.context):
                continue
            root.select(name)
            found |= dict.fromkeys(there.intersection(root.state().values()), name)
    return found


def explained(fault: Fault, workspace: Workspace, directory: Path, store: Store) -> Fault:
    """The fault, with what the workspace's state still has on a cluster whose context is not in Vault."""
    name, context = workspace.name, workspace.context
    if fault.code != 1:
        return fault
    there = shared_kubeconfig.read(store).get("contexts") or ()
    if context in [one.get("name") for one in there]:
        return fault
    with reading(directory) as root:
        if name not in root.workspaces():
            return fault
        root.select(name)
        more = left.without_cluster(name, context, root.state())
    return Fault(f"{fault}; {more}", code=fault.code) if more else fault
