"""State that nobody looks after any more: of a workspace that left the maps, or whose cluster is gone.

Nothing is removed or forgotten here; a person decides, and gets the commands.
"""

from collections.abc import Collection

from fleet.findings import Finding, listed
from fleet.releases import stored
from fleet.releases.asked import by_hand


def left_maps(workspace: str, state: dict[str, str]) -> Finding | None:
    """An error for a workspace that is not in the maps while its state has resources."""
    if not state:
        return None
    tags = " ".join(f"[destroy {workspace}/{name}]" for name in stored.names(filter(None, state.values())))
    return Finding(
        f"{workspace} left the maps while its state has {listed(_names(state))}. To uninstall that, put its entries"
        f" back, with `{workspace} = []` in `workload`, and commit{f' with {tags}' if tags else ''}; take them out"
        " afterwards."
        f" If its cluster is gone for good, forget it: {forget(workspace)}"
    )


def without_cluster(workspace: str, context: str, state: dict[str, str]) -> str:
    """What to do about a workspace whose context is not in Vault; "" where its state has nothing."""
    if not state:
        return ""
    return (
        f"the state of {workspace} has {listed(_names(state))} on it. If the cluster was destroyed, its releases went"
        f" with it: forget them with {forget(workspace)}; if not, put {context} back into Vault"
    )


def _names(state: dict[str, str]) -> list[str]:
    return stored.names({key or f"/{address}" for address, key in state.items()})


def forget(workspace: str) -> str:
    """The commands by which Terraform forgets all that a workspace's state has."""
    return f"{by_hand('', 'init')}, then {by_hand('', 'workspace', 'delete', '-force', workspace)}"


def missing(workspaces: Collection[str], maps: Collection[str]) -> list[str]:
    """The backend's workspaces that are not in the maps."""
    return sorted(set(workspaces) - set(maps))
