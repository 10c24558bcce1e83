"""Which workspaces of clusters/ run on machines that are to be destroyed, or to be renamed."""

from collections.abc import Collection, Mapping
from pathlib import Path

from fleet.files import read_text
from fleet.findings import Fault, Finding, listed
from fleet.names import contexts_of
from fleet.paths import shown
from fleet.workspaces import maps


def left_behind(renamed: Mapping[str, str], clusters: Path) -> list[Finding]:
    """A warning for each renamed machine whose earlier context a workspace still uses. `renamed`: new name to old."""
    file = clusters / "variables.tf"
    if not renamed or not file.is_file():
        return []
    try:
        workspaces = maps.read(read_text(file), shown(file)).workspaces.values()
    except Fault as fault:
        return [fault.finding._replace(level="warning")]
    found = []
    for name, old in sorted(renamed.items()):
        if users := sorted(one.name for one in workspaces if one.context in contexts_of(old)):
            said = (
                f"{old} becomes {name}, and so does its context, but {listed(users)} of {shown(file)} runs on {old};"
                f' write kubernetes_context = "{name}" there'
            )
            found.append(Finding(said, level="warning"))
    return found


def warnings(going: Collection[str], staying: Collection[str], clusters: Path) -> list[Finding]:
    """A warning for each machine of `going` whose context a workspace uses and no machine of `staying` gives.

    `clusters`: the folder, perhaps not there.
    """
    file = clusters / "variables.tf"
    if not going or not file.is_file():
        return []
    try:
        workspaces = maps.read(read_text(file), shown(file)).workspaces.values()
    except Fault as fault:  # its own check refuses it; machines do not wait for that
        return [fault.finding._replace(level="warning")]
    kept = {context for name in staying for context in contexts_of(name)}
    found = []
    for name in sorted(going):
        contexts = set(contexts_of(name)) - kept
        if users := sorted(one.name for one in workspaces if one.context in contexts):
            said = (
                f"{name} is to be destroyed, and {listed(users)} of {shown(file)} runs there; its releases go with the"
                " cluster, and its state has to be forgotten afterwards"
            )
            found.append(Finding(said, level="warning"))
    return found
