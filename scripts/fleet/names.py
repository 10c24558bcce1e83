"""The table of kinds, which says what a machine's name decides, and the names that are special.

It has more than 150 lines because nothing else may know a kind: what is asked of a name is answered here.
"""

import re
from collections.abc import Iterable, Sequence
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
    parent: str | None = None  # the group whose children the group is among
    control_plane: bool = False  # whether its cluster's API runs on it
    serves: tuple[str, ...] = ()  # the clusters before whose API it stands, `*` being the pattern's


# The first kind that matches decides. A new inventory lists the groups in this order.
KINDS = (
    Kind(("haproxy", "haproxy-*"), "haproxy", "HAProxy load balancers", "haproxy", None, None,
         "a load balancer", serves=("k8s-*", "talos-*")),
    Kind(("talos-*-cp<n>",), "talos_control_plane", "Talos control plane nodes", "talos", "talos", "talos-*",
         "a control plane node of a Talos cluster", control_plane=True),
    Kind(("talos-*-w<n>",), "talos_workers", "Talos workers", "talos", "talos", "talos-*",
         "a worker of a Talos cluster"),
    Kind(("k8s-*-cp<n>",), "k3s_control_plane", "K3s control plane nodes", "k8s-ha", "k8s-ha", "k8s-*",
         "a control plane node of a K3s cluster", parent="k3s", control_plane=True),
    Kind(("k8s-*-w<n>",), "k3s_workers", "K3s workers", "k8s-ha", "k8s-ha", "k8s-*",
         "a worker of a K3s cluster", parent="k3s"),
    Kind(("k8s-*",), "k3s", "K3s machines", "k8s", "k8s", "k8s-*",
         "a single-node K3s cluster", control_plane=True),
)  # fmt: skip

GROUPS = tuple(dict.fromkeys(kind.group for kind in KINDS))

# A group to the one whose children it is among: a play for [k3s] reaches the members of larger clusters too.
PARENTS = {kind.group: kind.parent for kind in KINDS if kind.parent}

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


def cluster_of(name: str) -> str | None:
    """The cluster that a machine belongs to, or None. A single machine is its own; its context has the same name."""
    for pattern, kind in _TABLE:
        if match := pattern.fullmatch(name):
            return kind.cluster.replace("*", match[1]) if kind.cluster else None
    return None


def is_control_plane(name: str) -> bool:
    """Whether the API of the machine's cluster runs on it, as it does on a single one."""
    kind = kind_of(name)
    return bool(kind and kind.control_plane)


def is_talos(name: str) -> bool:
    """Whether a machine runs Talos: no user, no SSH and no Python, but an API of its own."""
    return playbook_of(name) == "talos"


def is_member(name: str) -> bool:
    """Whether a machine belongs to a cluster of several, which it has to leave before it is destroyed."""
    return cluster_of(name) not in (None, name)


def clusters_served_by(name: str) -> tuple[str, ...]:
    """The clusters that a load balancer serves by its name; () for any other machine.

    A number at the end is the load balancer's and not the cluster's: `haproxy-prod-1` and `haproxy-prod-2` serve
    the same ones, and `haproxy-1` none.
    """
    for pattern, kind in _TABLE:
        if match := pattern.fullmatch(name):
            served = re.sub(r"(^|-)\d+$", "", match[1]) if match.groups() else ""
            return tuple(cluster.replace("*", served) for cluster in kind.serves) if served else ()
    return ()


def not_renamed(old: str, new: str) -> str:
    """Why a machine of one name cannot go on under another; "" where it can.

    Its name decides its groups, its playbook and its clusters, none of which a machine changes by being renamed.
    """
    if not (managed(old) and managed(new)):
        return f"{new if managed(old) else old} is not managed here and is never touched"
    if is_member(old) or is_member(new):
        return (
            f"{old if is_member(old) else new} is a member of a cluster, which knows it by its name; bring in a machine"
            " of the new name, and remove the one of the old"
        )
    if kind_of(old) != kind_of(new):
        kinds = [
            f"{name} is {kind.description if (kind := kind_of(name)) else 'in no group'}"
            for name in (old, new)
        ]
        return f"{kinds[0]} and {kinds[1]}"
    if clusters_served_by(old) != clusters_served_by(new):
        return f"{old} serves other clusters than {new}"
    return ""


def load_balancers_of(cluster: str, machines: Iterable[str]) -> list[str]:
    """Those of the machines that serve a cluster by their names, in order."""
    return sorted(name for name in machines if cluster in clusters_served_by(name))


def next_playbook(waiting: Sequence[str]) -> str:
    """Which of these playbooks comes next: the first, unless it is a cluster's and a load balancer's waits too.

    A cluster is made with the load balancer's address as its server, and is asked through it before it counts as
    done; a load balancer starts without a cluster behind it.
    """
    clusters = {one for kind in KINDS if kind.cluster for one in (kind.playbook, kind.tag_playbook)}
    serving = [one for one in waiting if one in {kind.playbook for kind in KINDS if kind.serves}]
    return serving[0] if serving and waiting[0] in clusters else waiting[0]


def contexts_of(name: str) -> tuple[str, ...]:
    """The contexts that Vault's kubeconfig may have because of a machine, and that go when it was the last.

    A control plane gives its cluster's. A member's own name is none, but was one before it was a member.
    """
    cluster = cluster_of(name)
    if not cluster:
        return ()
    return tuple(dict.fromkeys((name, cluster))) if is_control_plane(name) else (name,)


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
