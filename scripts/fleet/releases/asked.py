"""For whom a plan is judged, and how a person runs Terraform for the same workspace."""

import shlex
from collections.abc import Collection, Mapping
from typing import NamedTuple

from fleet.paths import CLUSTERS_DIR
from fleet.terraform import program


class Asked(NamedTuple):
    """For what a plan is judged."""

    workspace: str
    workloads: Collection[str]  # of the map; empty where everything is to go
    destroy: Collection[str]  # WORKSPACE/RELEASE, by [destroy WORKSPACE/RELEASE]
    owners: Mapping[str, str] = {}  # NAMESPACE/NAME of releases that other workspaces' states have, and which


def by_hand(workspace: str, *arguments: str) -> str:
    """A command for a message, as a person types it at the top of the repository."""
    root = f"-chdir={CLUSTERS_DIR.name}"
    selected = ["env", f"TF_WORKSPACE={workspace}"] if workspace else []
    return f"`{shlex.join([*selected, program.name(), root, *arguments])}`"
