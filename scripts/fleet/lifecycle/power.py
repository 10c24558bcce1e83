"""Starting, stopping and shutting down, each of which waits until it is so. Any machine may be asked, not only ours."""

import socket
import time
from collections.abc import Callable, Mapping
from typing import Any

from fleet.addresses import agent
from fleet.findings import Fault
from fleet.lifecycle import machine, owner
from fleet.lifecycle.machine import Found
from fleet.lifecycle.spec import PREFIX, Spec, read
from fleet.proxmox import properties
from fleet.proxmox.change import Change, Result, told
from fleet.proxmox.client import Client
from fleet.proxmox.errors import Refused
from fleet.proxmox.rights import right
from fleet.vms import addresses

ENDS = {"start": "running", "stop": "stopped", "shutdown": "stopped"}
MORE = 30  # seconds beyond Proxmox's own limit, so that its reason is heard


@told
def run(change: Change, arguments: Mapping[str, Any]) -> Result:
    """`power` is start, stop or shutdown; with `wait` a started machine must answer, by its agent or by SSH."""
    spec, action = read(arguments), str(arguments["power"])
    if found := machine.planned(spec, arguments):
        return Result(
            True, f"{found.label} would be started", {"status": "stopped"}, {"status": "running"}, found.facts
        )
    found = machine.existing(change.api, spec)
    machine.refuse_template(found, action)
    if action == "start":
        owner.refuse_unfinished(found.owner, found.label)
    changed = switch(change, found, spec, action)
    facts = found.facts | {"status": ENDS[action]}
    if action == "start" and arguments.get("wait") and not change.check:
        facts["address"] = answering(change, found, spec.timeout)
    before = {"status": "stopped" if ENDS[action] == "running" else "running"}
    what = f"{found.label} is {ENDS[action]}{'' if changed else ' already'}"
    return Result(changed, what, before, {"status": ENDS[action]}, facts)


def switch(change: Change, found: Found, spec: Spec, action: str) -> bool:
    """Whether there was anything to do. Raises Fault where it did not happen in time."""
    if _status(change.api, found) == ENDS[action]:
        return False
    machine.refuse_locked(found)
    machine.require(change, right(f"/vms/{found.guest.vmid}", "VM.PowerMgmt"))
    if change.check:
        return True
    fields: dict[str, Any] = {}
    if action == "shutdown":
        fields = {"timeout": spec.timeout} | ({"forceStop": 1} if spec.force_stop else {})
    try:
        machine.done(
            change, lambda: change.api.post(f"{found.path}/status/{action}", **fields), spec.timeout + MORE
        )
    except Refused:
        raise
    except Fault as fault:
        if _status(change.api, found) == ENDS[action]:  # somebody else was faster
            return False
        if action != "shutdown" or "got timeout" not in str(fault):
            raise
        raise Fault(f"{found.label} did not shut down within {spec.timeout} s: set {PREFIX}force_stop: true, use state"
                    f" stop, or give it more time with {PREFIX}timeout") from None  # fmt: skip
    # Where HA manages the machine, the task only tells HA what is wanted.
    if not _until(lambda: _status(change.api, found) == ENDS[action], spec.timeout):
        raise Fault(
            f"{found.label} is still not {ENDS[action]} after {spec.timeout} s; see its tasks in Proxmox"
        )
    return True


def answering(change: Change, found: Found, seconds: float) -> str:
    """The address of a machine that was started, once its agent tells it, or else once SSH answers there."""
    found = machine.read(change.api, found.guest)
    static = _static(found)
    if _has_agent(found):
        change.say(f"waiting for the guest agent of {found.label}")
        if not _until(lambda: address(change.api, found), seconds):
            raise Fault(f"{found.label} runs, but its guest agent told no address within {seconds:g} s: look at its"
                        " console in Proxmox; the template must contain qemu-guest-agent")  # fmt: skip
        return address(change.api, found)
    if not static:
        change.say(f"{found.label} has no guest agent and no fixed address, so nothing tells when it answers")
        return ""
    change.say(f"waiting for SSH at {static}")
    if not _until(lambda: _ssh(static), seconds):
        raise Fault(
            f"{found.label} runs, but {static} does not answer SSH within {seconds:g} s; look at its console"
        )
    return static


def address(api: Client, found: Found) -> str:
    """What the agent tells, else the fixed address; "" while neither is known."""
    if _has_agent(found) and (mac := properties.mac(str(found.config.get("net0") or ""))):
        return agent.ask(api, agent.Guest(found.guest.node, found.guest.vmid, mac, 0)).address
    return _static(found)


def _has_agent(found: Found) -> bool:
    return properties.parse(str(found.config.get("agent") or "0"), "enabled").get("enabled") == "1"


def _static(found: Found) -> str:
    interface = addresses.parse(str(found.config.get("ipconfig0") or "ip=dhcp"))[0].ip
    return str(interface.ip) if interface else ""


def _status(api: Client, found: Found) -> str:
    return str(api.get(f"{found.path}/status/current").get("status"))


def _until(is_so: Callable[[], object], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            return False
        time.sleep(1)
    return True


def _ssh(host: str) -> bool:
    try:
        with socket.create_connection((host, 22), 2) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False
