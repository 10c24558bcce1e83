"""A Talos cluster as it is to be: its members, its API's address, versions, and patches of the configuration."""

import re
from typing import Any, NamedTuple

from fleet.findings import Fault, cut

API = 6443  # Kubernetes' API on each control plane
VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)(-[0-9A-Za-z.]+)?")


class Version(NamedTuple):
    """A release; versions compare as such, and a pre-release is older than its release."""

    major: int
    minor: int
    patch: int
    final: bool
    pre: str

    def __str__(self) -> str:
        return f"v{self.major}.{self.minor}.{self.patch}{self.pre}"


class Node(NamedTuple):
    name: str
    address: str
    control_plane: bool


class Cluster(NamedTuple):
    """`nodes` are all members of the inventory, control planes first; `endpoint` is an address or a name."""

    name: str
    nodes: tuple[Node, ...]
    endpoint: str
    vip: str  # "": none
    vip_link: str  # "": the machine's only VirtIO card
    version: Version
    kubernetes: Version
    install_image: str
    install_disk: str
    patches: tuple[str, ...]  # YAML or JSON, for all members
    control_plane_patches: tuple[str, ...]
    worker_patches: tuple[str, ...]
    force_bootstrap: bool

    @property
    def control_planes(self) -> tuple[Node, ...]:
        return tuple(node for node in self.nodes if node.control_plane)

    @property
    def url(self) -> str:
        """The address of the Kubernetes API."""
        host = f"[{self.endpoint}]" if ":" in self.endpoint else self.endpoint
        return f"https://{host}:{API}"

    def node(self, name: str) -> Node:
        return next(node for node in self.nodes if node.name == name)


def version(text: Any, what: str) -> Version:
    """A version as v1.12.0 or 1.12.0. Raises Fault."""
    found = VERSION.fullmatch(str(text).strip())
    if not found:
        raise Fault(f"{what} is {cut(str(text)) or 'empty'}; give a release, such as v1.12.0", code=2)
    return Version(*map(int, found.groups()[:3]), not found[4], found[4] or "")
