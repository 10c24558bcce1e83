"""The table of kinds, which says what a machine's name decides, and the names that are special."""

import re
from pathlib import Path
from typing import NamedTuple


class Kind(NamedTuple):
    patterns: tuple[str, ...]  # `*` stands for any text, `<n>` for a number
    group: str  # in the inventory
    heading: str  # the remark above that group in k8s.ini
    playbook: str | None  # without .yml; None: the name alone asks for none
    tag_playbook: str | None  # what `[ansible NAME]` runs on that machine; None: a tag cannot name it
    cluster: str | None  # what its cluster is called, `*` being the pattern's; None: it has no cluster
    description: str  # what such a machine is, for README's table


# The first kind that matches decides. A new inventory lists the groups in this order.
KINDS = (
    Kind(("haproxy", "haproxy-*"), "haproxy", "HAProxy load balancers", "haproxy", None, None,
         "a load balancer"),
    Kind(("talos-*-cp<n>",), "talos_control_plane", "Talos control plane nodes", "talos", None, "talos-*",
         "a control plane node of a Talos cluster"),
    Kind(("talos-*-w<n>",), "talos_workers", "Talos workers", "talos", None, "talos-*",
         "a worker of a Talos cluster"),
    # The single-node playbook would make each member a cluster of its own, so only a tag can ask for it.
    Kind(("k8s-*-cp<n>", "k8s-*-w<n>"), "k3s", "K3s machines", None, "k8s", "k8s-*",
         "a member of a multi-node K3s cluster"),
    Kind(("k8s-*",), "k3s", "K3s machines", "k8s", "k8s", "k8s-*",
         "a single-node K3s cluster"),
)  # fmt: skip

GROUPS = tuple(dict.fromkeys(kind.group for kind in KINDS))

# Machines that live outside this automation: their VM files are validated and their addresses are taken, but
# they are never created, destroyed or removed from the inventory.
UNMANAGED = ("k8s-home", "boot-server")

# Playbooks that only ask Proxmox: no tag in a commit runs them, since they run on no machine of the inventory.
OF_PROXMOX = frozenset({"deploy", "platform", "remove-vms", "site", "template"})

# Names that mean something else to Ansible.
RESERVED = frozenset({"all", "ungrouped", "localhost"})


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(re.escape(pattern).replace(r"\*", "(.+)").replace("<n>", r"\d+"))


_TABLE = tuple((_compiled(pattern), kind) for kind in KINDS for pattern in kind.patterns)
_CONTEXTS = tuple({kind.cluster: _compiled(kind.cluster) for kind in KINDS if kind.cluster}.values())


def kind_of(name: str) -> Kind | None:
    return next((kind for pattern, kind in _TABLE if pattern.fullmatch(name)), None)


def group_of(name: str) -> str | None:
    """The inventory group of a machine, or None when its name decides none."""
    kind = kind_of(name)
    return kind.group if kind else None


def playbook_of(name: str) -> str | None:
    """The playbook (without .yml) that a machine's name asks for, or None."""
    kind = kind_of(name)
    return kind.playbook if kind else None


def tag_playbook_of(name: str) -> str | None:
    """The playbook (without .yml) that a tag with this machine's name runs, or None: a tag cannot name it."""
    kind = kind_of(name)
    return kind.tag_playbook if kind else None


def contexts_of(name: str) -> tuple[str, ...]:
    """The contexts that Vault's kubeconfig may have for a machine: its own and its cluster's."""
    for pattern, kind in _TABLE:
        if match := pattern.fullmatch(name):
            cluster = kind.cluster and kind.cluster.replace("*", match[1])
            return tuple(dict.fromkeys((name, cluster))) if cluster else ()
    return ()


def is_context(name: str) -> bool:
    """Whether a context is one that this automation writes, rather than a person's."""
    return any(pattern.fullmatch(name) for pattern in _CONTEXTS) or bool(contexts_of(name))


def managed(name: str) -> bool:
    """Whether a machine is created and removed by this automation."""
    return name not in UNMANAGED


def vm_names(folder: Path) -> set[str]:
    """Names of the managed machines that have a file in a folder; none when it does not exist."""
    return set(filter(managed, (path.stem for path in folder.glob("*.yaml"))))


def playbook_names(folder: Path) -> set[str]:
    """Names of the playbooks of a folder that run on machines, without .yml; none when it does not exist."""
    return {path.stem for path in folder.glob("*.yml")} - OF_PROXMOX
