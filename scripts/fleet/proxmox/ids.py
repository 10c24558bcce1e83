"""Choosing VMIDs: the file's, else the machine's own, else the lowest that is free."""

from collections.abc import Callable, Mapping

from fleet.findings import Finding
from fleet.vms.files import VM

# 100 to 499 are given by hand, 9000 to 9999 are templates.
FIRST, LAST = 500, 8999


def choose(
    vms: Mapping[str, VM],
    known: Mapping[str, int],
    taken: Mapping[int, str],
    is_free: Callable[[int], bool] = lambda vmid: True,
) -> tuple[dict[str, int], list[Finding]]:
    """A VMID for each machine: ({name: vmid}, what is wrong).

    `known`: machines that have one already, by name. `taken`: VMID to the one who has it, as a person would
    name him; a machine's own entry in `known` is no conflict. `is_free` asks the cluster about a candidate.
    """
    findings: list[Finding] = []
    owners = dict(taken)
    ids: dict[str, int] = {}
    for name, vm in vms.items():
        vmid = vm.data.get("vmid")
        if vmid is None:
            continue
        if vmid in owners and known.get(name) != vmid:
            message = (
                f"vmid {vmid} of {name} belongs to {owners[vmid]}; give another, or none to have one chosen"
            )
            findings.append(Finding(message, vm.path, *vm.lines.get("vmid", (0, 0))))
            continue
        ids[name] = vmid
        owners[vmid] = f"{name} ({vm.path})"
    given = set(ids.values())
    for name in vms:
        if name in known and vms[name].data.get("vmid") is None and known[name] not in given:
            ids[name] = known[name]
            owners.setdefault(known[name], name)
    candidate = FIRST
    for name, vm in vms.items():
        if name in ids or vm.data.get("vmid") is not None:
            continue
        while candidate <= LAST and (candidate in owners or not is_free(candidate)):
            candidate += 1
        if candidate > LAST:
            findings.append(
                Finding(f"no VMID from {FIRST} to {LAST} is free for {name}; give it one", vm.path)
            )
            break
        ids[name] = candidate
        owners[candidate] = name
    return ids, findings
