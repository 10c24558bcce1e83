"""Removing a machine that this role made, with its disks, after it was shut down. One that is not there is fine."""

from collections.abc import Mapping
from typing import Any

from fleet.findings import Fault
from fleet.lifecycle import machine, owner, power
from fleet.lifecycle.machine import Found
from fleet.lifecycle.spec import PREFIX, Spec, read
from fleet.proxmox import disks, properties
from fleet.proxmox.change import Change, Result, told
from fleet.proxmox.rights import right


@told
def run(change: Change, arguments: Mapping[str, Any]) -> Result:
    spec = read(arguments)
    owner.refuse_fleet("remove", spec.name, spec.vmid, None, {})
    gone = Result(message=f"{spec.name or f'VMID {spec.vmid}'} is not there, or the token may not see it")
    found = _removable(change, spec)
    if found is None:
        return gone
    machine.require(change, right(f"/vms/{found.guest.vmid}", "VM.Allocate"))
    # A shutdown takes minutes, in which somebody may have made another machine of it.
    if power.switch(change, found, spec, "shutdown") and not change.check:
        found = _removable(change, spec)
        if found is None:
            return gone
    if not change.check:
        machine.done(change, lambda: change.api.delete(found.path, purge=1))
    facts = found.facts | {"vendor_snippet": vendor_snippet(found.config)}
    before = found.facts | {"disks": ", ".join(disks.volumes(found.config).values())}
    return Result(True, f"{found.label} is removed", before, {}, facts)


def _removable(change: Change, spec: Spec) -> Found | None:
    """The machine as it is now; None where it is not there. Raises Fault where it must stay."""
    found = machine.find(change.api, spec)
    if found is None:
        return None
    machine.refuse_template(found, "remove")
    owner.refuse_stranger("remove", found.guest, found.config)
    name = str(found.config.get("name"))
    if spec.confirm != name:
        said = f"is {spec.confirm}" if spec.confirm else "is empty"
        raise Fault(f"removing {found.label} destroys its disks: {PREFIX}confirm {said}; set it to {name}")
    if int(found.config.get("protection") or 0):
        raise Fault(f"{found.label} is protected: modify it with {PREFIX}protection: false first")
    machine.refuse_locked(found)
    return found


def vendor_snippet(config: Mapping[str, Any]) -> str:
    """The snippet that was written for a machine, which goes after it; "" without one."""
    volume = properties.parse(str(config.get("cicustom") or ""), "").get("vendor", "")
    return volume if volume.endswith(f"/gitops-{config.get('name')}-vendor.yaml") else ""
