"""Choose VMIDs: the one in the file, else the one that the machine has, else the lowest free one."""

from collections.abc import Callable, Mapping

from fleet.findings import Finding
from fleet.vms.machine import Machine

# 100 to 499 are for numbers given by hand, 9000 to 9999 for templates.
FIRST, LAST = 500, 8999


def choose(
    machines: Mapping[str, Machine],
    known: Mapping[str, int],
    taken: Mapping[int, str],
    is_free: Callable[[int], bool] = lambda vmid: True,
) -> tuple[dict[str, int], list[Finding]]:
    """A VMID for each machine: ({name: vmid}, what is wrong).

    `known`: the VMIDs of machines that exist, by name. `taken`: each VMID in use with its owner's name for messages;
    a machine's own entry in `known` is not a conflict. `is_free` asks the cluster about a candidate.
    """
    findings: list[Finding] = []
    owners = dict(taken)
    ids: dict[str, int] = {}
    for name, machine in machines.items():
        vmid = machine.vmid
        if vmid is None:
            continue
        if vmid in owners and known.get(name) != vmid:
            message = (
                f"{vmid} belongs to {owners[vmid]}; choose another, or remove the line to have one chosen"
            )
            findings.append(machine.finding("vmid", message))
            continue
        ids[name] = vmid
        owners[vmid] = f"{name} ({machine.path})"
    given = set(ids.values())
    for name, machine in machines.items():
        if name in known and machine.vmid is None and known[name] not in given:
            ids[name] = known[name]
            owners.setdefault(known[name], name)
    candidate = FIRST
    for name, machine in machines.items():
        if name in ids or machine.vmid is not None:
            continue
        while candidate <= LAST and (candidate in owners or not is_free(candidate)):
            candidate += 1
        if candidate > LAST:
            findings.append(machine.finding("vmid", f"no VMID from {FIRST} to {LAST} is free; choose one"))
            break
        ids[name] = candidate
        owners[candidate] = name
    return ids, findings
