"""What new VM files would share with others: their paths, VMIDs, addresses, MAC addresses."""

from collections.abc import Collection, Iterable, Mapping

from fleet.adopt.candidate import Candidate
from fleet.findings import Finding
from fleet.rules.places import place
from fleet.vms.files import VM


def settled(
    candidates: Iterable[Candidate], vms: Mapping[str, VM], unread: Collection[str]
) -> list[Candidate]:
    """The candidates, each whose file is there already as `managed` or refused. `vms`: the files, by name; `unread`:
    names of files that are there and could not be read.
    """
    owners = {vm.data["vmid"]: vm for vm in vms.values() if type(vm.data.get("vmid")) is int}
    candidates = [
        _refused(one, f"has a file that cannot be read ({one.label}); correct it, or delete it")
        if one.guest.name in unread
        else one
        for one in candidates
    ]
    return [_against(one, vms.get(one.guest.name), owners.get(one.guest.vmid)) for one in candidates]


def _against(one: Candidate, same_name: VM | None, same_vmid: VM | None) -> Candidate:
    if one.managed:
        return one
    if same_vmid and same_vmid is not same_name:
        return _refused(
            one, f"is {same_vmid.name}'s by its VMID ({place(same_vmid, 'vmid')}); correct one of the two"
        )
    if not same_name:
        return one
    if not same_vmid:
        return _refused(
            one,
            f"has the name of another machine's file ({place(same_name, 'name')}); if the file means this guest,"
            f" write `vmid: {one.guest.vmid}` into it, else rename one of the two",
        )
    if one.vm is None:
        return one
    if differing := sorted(_differing(one.vm.data, same_name.data)):
        return _refused(
            one,
            f"has a file that differs in {', '.join(differing)} ({place(same_name, differing[0])}), which is left as it"
            " is; delete it to have it written anew",
        )
    return one._replace(managed=one.guest.name, label=same_name.path)


def _differing(new: Mapping, old: Mapping) -> Iterable[str]:
    return (field for field in {**new, **old} if new.get(field) != old.get(field))


def _refused(one: Candidate, reason: str) -> Candidate:
    return one._replace(refused=[*one.refused, reason])


def with_findings(candidates: Iterable[Candidate], findings: Collection[Finding]) -> list[Candidate]:
    """The candidates with the errors that name their files, as reasons."""
    return [
        one._replace(
            refused=[
                *one.refused,
                *(found.message for found in findings if found.path == one.label and found.level == "error"),
            ]
        )
        if one.vm and not one.managed
        else one
        for one in candidates
    ]
