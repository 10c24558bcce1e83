"""Storages, bridges and snippets: what machines are made of and stand on, node by node.

More than 150 lines because all that a node must have for its machines is compared here.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fleet.doctor.configured import machines, setting, words
from fleet.doctor.line import Line, red, skipped, warning
from fleet.doctor.proxmox import Proxmox
from fleet.doctor.run import each
from fleet.findings import Fault, listed
from fleet.snippets import settings, where
from fleet.snippets import ssh as by_ssh

GIB = 1 << 30
Seen = Mapping[str, Mapping[str, Mapping[str, Any]]]  # what each node tells of its storages
LITTLE, FEW = 0.05, 0.10  # of a storage that is free


def storages(pve: Proxmox) -> Iterator[Line]:
    """Two lines for what can hold what, and one for the space; each over all nodes that are online."""
    seen = {node: entries for node, entries in pve.storages.items() if entries is not None}
    names = ("disk storage", "image storage", "storage space")
    if hangs := sorted(pve.storages.keys() - seen.keys()):
        found = f"{listed(hangs)} does not tell its storages"
        yield red(
            names[0], found, "an answer of each node", f"on {hangs[0]}: `pvesm status`, which hangs there too"
        )
        yield from (skipped(name, f"not asked: {found}") for name in names[1:])
        return
    if not any(seen.values()):
        why = pve.lacks("/storage", "Datastore.Audit", "Datastore.AllocateSpace") or "there is no storage"
        yield from (skipped(name, why) for name in names)
        return
    wanted = _wanted(seen)
    yield _able(names[0], "images", seen, wanted)
    yield _able(names[1], "import", seen, {})
    yield _space(seen, wanted)


def _wanted(nodes: Iterable[str]) -> dict[str, set[str]]:
    """The storages that VM files and `.env` put disks on, by node."""
    found: dict[str, set[str]] = {node: set() for node in nodes}
    for one in machines():
        found.setdefault(one.target_node, set()).update(disk.storage for disk in one.disks)
    if setting("VM_NAMES"):
        mine = {setting("VM_STORAGE") or "local-lvm", setting("VM_DATA_STORAGE")} - {""}
        for node in words("VM_NODES"):
            found.setdefault(node, set()).update(mine)
    return found


def _content(entry: Mapping[str, Any]) -> list[str]:
    return str(entry.get("content", "")).split(",")


def _able(name: str, content: str, seen: Seen, wanted: Mapping[str, set[str]]) -> Line:
    able = {
        node: sorted(
            one for one, entry in entries.items() if content in _content(entry) and entry.get("active", 1)
        )
        for node, entries in seen.items()
    }
    aim = f"a storage with content {content} on each node"
    found = _by_node(able)
    for node, names in able.items():
        lacking = wanted.get(node, set()) - set(names)
        if not names or lacking:
            what = sorted(lacking)[0] if lacking else "local"
            entry = seen[node].get(what)
            if not entry:
                mend = (
                    f"under Datacenter, Storage: add one for {node} with content {content}, or name another"
                )
            elif content in _content(entry):
                mend = f"on {node}: `pvesm status` shows why {what} is not active"
            else:
                mend = f"`pvesm set {what} --content {','.join([*_content(entry), content])}`"
            yet = f"; {node} lacks {listed(sorted(lacking))}, which machines are to have" if lacking else ""
            return red(name, found + yet, aim, mend)
    return Line(name, found, aim)


def _by_node(by_node: Mapping[str, Iterable[str]]) -> str:
    """What each node has; nodes with the same are named once."""
    groups: dict[str, list[str]] = {}
    for node, names in by_node.items():
        groups.setdefault(listed(names, 6), []).append(node)
    return "; ".join(f"{names} on {listed(nodes, 4)}" for names, nodes in groups.items())


def _space(seen: Seen, wanted: Mapping[str, set[str]]) -> Line:
    """How full the storages are that something here uses, or else all that hold disks."""
    name, aim = "storage space", f"{FEW:.0%} free"
    named = set().union(*wanted.values()) & set().union(*seen.values())
    tight, most = {}, {}
    for node, entries in seen.items():
        for storage, entry in entries.items():
            total = int(entry.get("total") or 0)
            if total and {"images", "import"} & set(_content(entry)) and (not named or storage in named):
                free = int(entry.get("avail") or 0) / total
                most[storage] = min(free, most.get(storage, 1.0))
                if free < FEW:
                    tight[f"{storage} on {node}"] = (free, int(entry.get("avail") or 0))
    if tight:
        found = "; ".join(
            f"{place} has {left / GIB:.0f} GiB free ({free:.0%})" for place, (free, left) in tight.items()
        )
        mend = (
            "`make template-list` shows what can go; remove machines and old images, or enlarge the storage"
        )
        return (red if min(free for free, _ in tight.values()) < LITTLE else warning)(name, found, aim, mend)
    if not most:
        return skipped(name, "no storage says how large it is")
    least = min(most, key=most.__getitem__)
    return Line(name, f"{least} is the fullest, {most[least]:.0%} free", aim)


def bridges(pve: Proxmox) -> Line:
    nodes = pve.online
    name = "bridge"
    has = dict(zip(nodes, each(pve.client.bridges, nodes), strict=True))
    if not any(has.values()) and (why := pve.lacks("/sdn", "SDN.Use", "SDN.Audit")):
        return skipped(name, why)
    default = setting("VM_BRIDGE") or "vmbr0"
    wanted: dict[str, set[str]] = {node: set() for node in nodes}
    for one in machines():
        cards = [one.network, *one.hardware.net.values()]
        wanted.setdefault(one.target_node, set()).update(card.bridge for card in cards if card)
    if not any(wanted.values()) or setting("VM_NAMES"):
        for node in words("VM_NODES") or nodes:
            wanted.setdefault(node, set()).add(default)
    aim = "; ".join(sorted({listed(sorted(names)) for names in wanted.values() if names}))
    missing = {
        node: sorted(wanted[node] - (has[node] or set()))
        for node in nodes
        if wanted[node] - (has[node] or set())
    }
    found = _by_node({node: sorted(names or ()) for node, names in has.items()})
    if not missing:
        return Line(name, found, aim)
    node, names = next(iter(missing.items()))
    mend = f"make {names[0]} on {node} under System, Network, or name another bridge (VM_BRIDGE, or network.bridge)"
    return red(
        name, "; ".join(f"{node} has no {listed(names)}" for node, names in missing.items()), aim, mend
    )


def snippets(pve: Proxmox) -> Line:
    """By SSH, each node is asked for the checksum of a file that it does not have."""
    name, wanted = "snippets", "a storage with content snippets on each node, that can be written from here"
    about, problems = settings.parse({})  # what `.env` says of it is in the environment by now
    if problems:
        variable, message = problems[0]
        return red(name, f"{variable} {message}", wanted, f"correct {variable} in .env")
    if about.mode == "none":
        return skipped(name, f"{settings.PREFIX} is none")
    if None in pve.storages.values():
        return skipped(name, "not asked: see disk storage")
    try:
        nodes = where.nodes(pve.client, about, "").writing
        if about.mode == "mounted" and not os.access(about.folder, os.W_OK):
            raise Fault(f"{about.folder} cannot be written here: mount the storage's folder there, or correct"
                        f" {settings.PREFIX}_DIR")  # fmt: skip
        if about.mode == "ssh":
            each(lambda node: by_ssh.checksum(about, node, "gitops-doctor-vendor.yaml"), nodes)
    except Fault as fault:
        found, _, mend = str(fault).partition(": ")
        return red(name, found, wanted, mend or f"correct {settings.PREFIX} and what belongs to it in .env")
    return Line(name, f"{about.mode}, to {about.storage} on {listed(nodes, 4)}", wanted)
