"""The list of clones, checked before anything is made: what can be wrong in it without a look at Proxmox."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fleet.findings import Fault
from fleet.lifecycle import spec as machine
from fleet.vms import addresses


def problems(clones: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """What Proxmox has against one of them later concerns that one alone."""
    seen: dict[tuple[str, object], str] = {}
    for clone in clones:
        name = str(clone.get("name"))
        try:
            spec = machine.read(clone)
        except Fault as fault:
            yield f"clone {name}: {str(fault).replace(machine.PREFIX, '')}"
            continue
        address = addresses.parse(spec.cloud_init.ipconfig)[0].ip if spec.cloud_init else None
        for what in (("name", spec.name), ("VMID", spec.vmid), ("address", address and address.ip)):
            if what[1] is None:
                continue
            if other := seen.get(what):
                yield f"clones {other} and {name} have the same {what[0]}, {what[1]}; change one"
            seen.setdefault(what, name)
