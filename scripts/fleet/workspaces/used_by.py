"""Which workspaces of clusters/ run on machines that are to be destroyed, or to be renamed."""

from collections.abc import Collection, Mapping
from pathlib import Path

from fleet.files import read_text
from fleet.findings import Fault, Finding, listed
from fleet.names import contexts_of
from fleet.paths import shown
from fleet.workspaces import maps


def warnings(going: Collection[str], staying: Collection[str], clusters: Path) -> list[Finding]:
    """A warning for each machine of `going` whose context a workspace uses and no machine of `staying` gives.

    `clusters`: the folder, perhaps not there.
    """
    kept = {context for name in staying for context in contexts_of(name)}
    said = (
        "{name} is to be destroyed, and {users} of {file} runs there; its releases go with the cluster, and its state"
        " has to be forgotten afterwards"
    )
    return _used({name: set(contexts_of(name)) - kept for name in going}, said, clusters)


def left_behind(renamed: Mapping[str, str], clusters: Path) -> list[Finding]:
    """A warning for each renamed machine whose earlier context a workspace still uses. `renamed`: new name to old."""
    found = {old: contexts_of(old) for old in renamed.values()}
    said = "{name} is renamed, and so is its context, but {users} of {file} still runs on it; write the new name there"
    return _used(found, said, clusters)


def _used(contexts: Mapping[str, Collection[str]], said: str, clusters: Path) -> list[Finding]:
    """A warning for each machine of which a workspace uses one of these contexts."""
    file = clusters / "variables.tf"
    if not contexts or not file.is_file():
        return []
    try:
        workspaces = maps.read(read_text(file), shown(file)).workspaces.values()
    except Fault as fault:  # its own check refuses it; machines do not wait for that
        return [fault.finding._replace(level="warning")]
    found = []
    for name in sorted(contexts):
        if users := sorted(one.name for one in workspaces if one.context in contexts[name]):
            text = said.format(name=name, users=listed(users), file=shown(file))
            found.append(Finding(text, level="warning"))
    return found
