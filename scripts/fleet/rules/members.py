"""The rules for clusters of several machines: who their members are, by their names."""

import re
from collections.abc import Collection, Iterator

from fleet import names
from fleet.findings import Finding, listed
from fleet.rules.places import Only, place
from fleet.vms.files import VM


def check(vms: Collection[VM], only: Only = None) -> Iterator[Finding]:
    """What is wrong with clusters. A push that makes one larger step by step is only warned: it may not be the last."""
    clusters: dict[str, list[VM]] = {}
    by_name = {vm.name: vm for vm in vms}
    for vm in vms:
        if names.is_member(vm.name):
            clusters.setdefault(names.cluster_of(vm.name) or "", []).append(vm)
    for cluster, members in clusters.items():
        if vm := _asked(members, only):
            yield from _number(cluster, members, vm)
        yield from _twice(members, only)
        if single := by_name.get(cluster):
            yield from _same_context(cluster, single, members, only)


def _number(cluster: str, members: list[VM], at: VM) -> Iterator[Finding]:
    planes = [vm.name for vm in members if names.is_control_plane(vm.name)]
    if not planes:
        workers = listed(vm.name for vm in members)
        message = f"{cluster} has workers ({workers}) and no control plane; add {cluster}-cp01"
        yield at.finding("name", message, "warning")
    elif len(planes) % 2 == 0:
        message = (
            f"{cluster} has {len(planes)} control planes ({listed(planes)}), and etcd needs an odd number: add one"
            " or take one away"
        )
        yield at.finding("name", message, "warning")


def _twice(members: list[VM], only: Only) -> Iterator[Finding]:
    first: dict[tuple[str, int], VM] = {}
    for vm in members:
        stem, number = re.fullmatch(r"(.*?)(\d+)", vm.name).groups()
        other = first.setdefault((stem, int(number)), vm)
        if other is not vm and (at := _asked([other, vm], only)):
            there = other if at is vm else vm
            message = f"{at.name} and {there.name} ({place(there, 'name')}) have the same number; change one of them"
            yield at.finding("name", message)


def _same_context(cluster: str, single: VM, members: list[VM], only: Only) -> Iterator[Finding]:
    if at := _asked([*members, single], only):
        there = members[0] if at is single else single
        message = (
            f"{single.name} is a cluster of its own, and {members[0].name} a member of one of the same name: Vault has"
            f" one context {cluster} ({place(there, 'name')}); rename one of them"
        )
        yield at.finding("name", message)


def _asked(vms: list[VM], only: Only) -> VM | None:
    """The last of these files that was asked about."""
    return next((vm for vm in reversed(vms) if only is None or vm.path in only), None)
