"""The step `remove`: a removed machine's snippet goes too, or what is left is said."""

from collections.abc import Mapping
from typing import Any

from fleet.findings import Fault, listed
from fleet.proxmox.change import Change, Result, told
from fleet.snippets import settings, vendor, where
from fleet.snippets.write import HOW


@told
def run(change: Change, arguments: Mapping[str, Any]) -> Result:
    file, about = vendor.file_name(str(arguments["name"])), settings.read()
    if about.mode == "none":
        return Result(message=f"{file} stays on its storage: {settings.PREFIX} is none; remove it there")
    how, nodes = HOW[about.mode], where.nodes(change.api, about, "")
    gone, left = [], [f"{file} stays on {node}, which cannot be reached" for node in nodes.offline]
    for node in nodes.writing:
        try:
            if how.checksum(about, node, file):
                if not change.check:
                    how.remove(about, node, file)
                gone.append(node)
        except Fault as fault:
            left.append(f"{file} stays on {node}: {fault}")
    message = f"{file} is removed from {listed(gone)}" if gone else f"{file} is not there"
    return Result(bool(gone), "; ".join([message, *left]), dict.fromkeys(gone, file), {})
