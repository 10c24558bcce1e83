"""One guest in Proxmox's list of a cluster."""

from collections.abc import Mapping
from typing import Any, NamedTuple

# What a template says of itself while it is being built, and once another one has its name.
BUILDING, RETIRED = "building", "retired"


class Guest(NamedTuple):
    """One guest of the cluster, as far as the token may see it."""

    vmid: int
    name: str
    node: str
    template: bool
    status: str
    lock: str  # "clone" while it is being made, empty when nothing holds it
    container: bool = False
    ha: bool = False  # the HA manager chooses its node
    pool: str = ""
    tags: tuple[str, ...] = ()

    @property
    def is_offered(self) -> bool:
        """Whether it is a template that machines may be cloned from."""
        is_whole = not {BUILDING, RETIRED} & set(self.tags) and not self.name.endswith("-building")
        return self.template and not self.container and is_whole


def guest(entry: Mapping[str, Any]) -> Guest:
    """The guest of an entry of `cluster/resources`."""
    return Guest(
        vmid=int(entry["vmid"]),
        name=entry.get("name") or "",
        node=entry["node"],
        template=bool(int(entry.get("template") or 0)),
        status=entry.get("status") or "unknown",
        lock=entry.get("lock") or "",
        container=entry.get("type") == "lxc",
        ha=bool(entry.get("hastate")),
        pool=entry.get("pool") or "",
        tags=tuple(filter(None, (entry.get("tags") or "").split(";"))),
    )
