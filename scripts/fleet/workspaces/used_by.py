"""Which workspaces of clusters/ run on machines that are to be destroyed."""

from collections.abc import Collection
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
