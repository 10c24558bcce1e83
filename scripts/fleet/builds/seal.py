"""The one boot of an image without guest agent: before it and after it. In between Ansible installs the agent.

The machine boots with a user, a key and an address that only this boot has. files/seal.sh of the role removes what a
first boot leaves, so that each clone has a first boot of its own.
"""

import socket
import time
from collections.abc import Mapping
from typing import Any

from fleet.builds import create, plan
from fleet.findings import Fault
from fleet.lifecycle import cloud_init
from fleet.proxmox import compare, tasks
from fleet.proxmox.change import Change, Result
from fleet.vms import addresses

USER = "template-build"
TIMEOUT = 300  # seconds for the machine to switch itself off


def run(change: Change, arguments: Mapping[str, Any]) -> Result:
    """With `public_key`: start the machine for the boot. Without: wait until it is off, and take its settings back."""
    planned = plan.taken({key: value for key, value in arguments.items() if key != "public_key"})
    one = create.guest_of(change, planned, planned.building)
    if key := arguments.get("public_key"):
        return _begin(change, planned, one, str(key).strip())
    return _end(change, planned, one)


def _begin(change: Change, planned: plan.Plan, one: Any, key: str) -> Result:
    address = str(addresses.parse(planned.spec.seal)[0].ip.ip)
    if _answers(address):
        raise Fault(
            f"{address} of proxmox_template_seal_ipconfig answers already, so it is somebody's; choose another"
        )
    options = {
        "ciuser": USER,
        "sshkeys": compare.encoded((key,)),
        "ipconfig0": planned.spec.seal,
    }
    create.mark(change, planned, one.guest.vmid, "sealing", **options)
    tasks.wait(change.api, change.api.post(f"{one.path}/status/start"))
    return Result(True, f"{one} boots once at {address}", facts={"address": address, "user": USER})


def _answers(address: str) -> bool:
    try:
        socket.create_connection((address, 22), timeout=1).close()
    except OSError:
        return False
    return True


def _end(change: Change, planned: plan.Plan, one: Any) -> Result:
    end = time.monotonic() + TIMEOUT
    while change.api.get(f"{one.path}/status/current")["status"] != "stopped":
        if time.monotonic() > end:
            raise Fault(f"{one} did not switch itself off within {TIMEOUT} s; see its console in Proxmox")
        time.sleep(1)
    wanted = cloud_init.options(planned.spec.cloud_init)
    gone = [name for name in ("sshkeys",) if name not in wanted]
    create.mark(
        change, planned, one.guest.vmid, "sealed", **wanted, **({"delete": ",".join(gone)} if gone else {})
    )
    seconds = {"seconds": round(time.time() - one.notes.at, 1)}  # since the boot
    return Result(True, f"{one} has the guest agent and is off", facts=seconds)
