"""A boot of the new template, before it gets its name: a clone starts, and its guest agent answers."""

from collections.abc import Mapping
from typing import Any

from fleet.addresses import agent
from fleet.builds import create, plan
from fleet.findings import Fault
from fleet.paths import VMS_DIR
from fleet.proxmox import disks, ids, properties, tasks
from fleet.proxmox.change import Change, Result
from fleet.templates import found, remove

TAG = "test"
SECONDS = 300  # until the agent answers with an address


def run(change: Change, arguments: Mapping[str, Any]) -> Result:
    """The clone is removed afterwards, whatever it did. One that an interrupted test left goes first."""
    planned = plan.taken(arguments)
    one = create.guest_of(change, planned, planned.building)
    cluster, name = change.api.guests(), f"{planned.spec.name}-test"
    for left in cluster:
        if left.name == name and left.node == planned.node and TAG in left.tags:
            remove.destroy(change.api, f"nodes/{left.node}/qemu/{left.vmid}")
    full = int(not disks.kind(planned.storage_type).templates)

    def clone(vmid: int) -> None:
        upid = change.api.post(
            f"{one.path}/clone", newid=vmid, name=name, full=full, description="a boot test"
        )
        tasks.wait(change.api, upid, planned.spec.timeout)

    vmid, _ = ids.claim(ids.AUTOMATIC, ids.used(cluster, VMS_DIR), change.api.is_free, clone, change.say)
    path = f"nodes/{planned.node}/qemu/{vmid}"
    try:
        address = {"ipconfig0": planned.spec.seal} if planned.spec.seal else {}
        change.api.put(f"{path}/config", tags=TAG, onboot=0, protection=0, **address)
        tasks.wait(change.api, change.api.post(f"{path}/status/start"))
        answer = _address(change, planned, vmid, one)
    finally:
        remove.destroy(change.api, path)
    return Result(True, f"a clone of {one} booted and has {answer}")


def _address(change: Change, planned: plan.Plan, vmid: int, one: found.Found) -> str:
    config = change.api.config(planned.node, vmid)
    guest = agent.Guest(planned.node, vmid, properties.mac(config["net0"]), SECONDS)
    answer = agent.ask_all(change.api, {planned.spec.name: guest})[planned.spec.name]
    if not answer.address:
        raise Fault(f"a clone of {one} does not boot as it should: {answer.reason}")
    return answer.address
