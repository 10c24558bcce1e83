"""Which nodes must have a snippet, and whether Proxmox sees it there."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from fleet.findings import Fault, listed
from fleet.proxmox import rights
from fleet.proxmox.change import Change
from fleet.proxmox.client import Client
from fleet.snippets.settings import PREFIX, Settings


class Nodes(NamedTuple):
    """`writing`: where the file is written; `lacking`: whose storage is not mounted here; `offline`: not reached."""

    writing: Sequence[str]
    lacking: Sequence[str] = ()
    offline: Sequence[str] = ()


def nodes(api: Client, settings: Settings, node: str) -> Nodes:
    """`node` is the machine's, "" while it has none. Raises Fault where its storage holds no snippets."""
    up = api.nodes()
    online = sorted(name for name, is_up in up.items() if is_up)
    having = {name: about for name in online if (about := _storage(api, settings, name)) is not None}
    if node and node not in having and up.get(node, True):
        raise Fault(f"node {node} has no storage {settings.storage}, where {PREFIX}_STORAGE puts snippets: name one"
                    " that it has")  # fmt: skip
    if not having:
        raise Fault(f"no node has a storage {settings.storage}; {PREFIX}_STORAGE names it")
    for name, about in having.items():
        if "snippets" not in str(about.get("content", "")).split(","):
            raise Fault(
                f"storage {settings.storage} on {name} has no content snippets: `pvesm set {settings.storage} --content"
                f" {about.get('content', '')},snippets`, or name another in {PREFIX}_STORAGE"
            )
    first = node if node in having else next(iter(having))
    if int(having[first].get("shared") or 0):
        return Nodes([first])
    if settings.mode == "mounted":
        return Nodes([first], [name for name in having if name != first])
    return Nodes(list(having), offline=sorted(name for name, is_up in up.items() if not is_up))


def check_seen(change: Change, settings: Settings, node: str, file: str) -> None:
    """Raises Fault where the file is not on the storage after it was written."""
    storage = settings.storage
    # Without this right Proxmox leaves snippets out of its list.
    if rights.missing(change.api, [rights.right(f"/storage/{storage}", "Datastore.Allocate")]):
        change.say(f"that Proxmox sees {file} is not checked: that needs Datastore.Allocate on {storage}")
        return
    found = change.api.get(f"nodes/{node}/storage/{storage}/content", content="snippets")
    names = [entry["volid"].rpartition("/")[2] for entry in found]
    if file not in names:
        raise Fault(
            f"{file} was written to {settings.folder}, but storage {storage} on {node} does not show it: make"
            f" {PREFIX}_DIR the folder of its snippets; it shows {listed(names)}"
        )


def _storage(api: Client, settings: Settings, node: str) -> dict[str, Any] | None:
    found = api.storages(node)
    if found is None:
        raise Fault(f"the token may not see the storages of {node}: it needs Datastore.Audit on /storage")
    return found.get(settings.storage)
