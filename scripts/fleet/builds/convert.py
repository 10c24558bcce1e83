"""Stage 5, its first half: the machine becomes a template, proven by its disks."""

from collections.abc import Mapping
from typing import Any

from fleet.builds import create, plan
from fleet.findings import Fault
from fleet.proxmox import disks, tasks
from fleet.proxmox.change import Change, Result
from fleet.templates import found


def run(change: Change, arguments: Mapping[str, Any]) -> Result:
    planned = plan.taken(arguments)
    if planned.building is None and change.check:
        return Result(True, "the new machine would be converted")
    one = create.guest_of(change, planned, planned.building)
    if one.guest.template:  # of an earlier run
        if problems := found.problems(one.config, planned.storages):
            raise Fault(
                f"{one} is half a template: {'; '.join(problems)}; run all stages, which build it anew"
            )
        return Result(message=f"{one} is a template")
    if found.is_running(change.api, one.path):
        raise Fault(f"{one} runs; switch it off, since Proxmox converts no running machine")
    if planned.spec.seals and one.notes.stage != "sealed":
        raise Fault(f"{one} has no guest agent yet; run with `--tags vm-configure` first")
    if change.check:
        return Result(True, f"{one} would be converted", {"template": 0}, {"template": 1})
    if planned.spec.tpm and "tpmstate0" not in one.config:
        # Not before the one boot: what the TPM had stored would be in every clone.
        formats = disks.kind(planned.storage_type).formats
        text = f"{planned.spec.storage}:1,version=v2.0" + (",format=raw" if formats else "")
        change.api.put(f"{one.path}/config", tpmstate0=text)
    upid = change.api.post(f"{one.path}/template")
    tasks.wait(change.api, upid)
    config = change.api.config(planned.node, one.guest.vmid)
    if problems := found.problems(config, planned.storages):
        raise Fault(
            f"{one} was converted, but {'; '.join(problems)}; the next run removes it and builds anew"
        )
    create.mark(change, planned, one.guest.vmid, "converted")
    return Result(True, f"{one} is a template", {"template": 0}, {"template": 1}, {"upid": upid})
