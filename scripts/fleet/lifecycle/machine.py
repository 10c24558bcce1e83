"""The machine that a step is about: found by name or VMID, with what is in the way.

More than 150 lines because waiting for a machine, and for what works on it, belongs to it.
"""

import difflib
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from fleet.findings import Fault, listed
from fleet.lifecycle import owner
from fleet.lifecycle.spec import PREFIX, Spec
from fleet.proxmox import client, rights, tasks
from fleet.proxmox.change import Change
from fleet.proxmox.client import Client
from fleet.proxmox.guest import Guest

BUSY = ("clone", "create")
SAID = 5  # seconds between two lines of a task's progress


class Found(NamedTuple):
    guest: Guest
    config: Mapping[str, Any]
    owner: owner.Owner

    @property
    def path(self) -> str:
        return f"nodes/{self.guest.node}/qemu/{self.guest.vmid}"

    @property
    def label(self) -> str:
        return f"{self.config.get('name') or 'VM'} (VMID {self.guest.vmid} on {self.guest.node})"

    @property
    def facts(self) -> dict[str, Any]:
        return {"vmid": self.guest.vmid, "name": self.config.get("name", ""), "node": self.guest.node}


def read(api: Client, guest: Guest) -> Found:
    config = api.config(guest.node, guest.vmid)
    # The list of the cluster has no name for a guest that is seconds old.
    guest = guest._replace(name=config.get("name") or guest.name)
    return Found(guest, config, owner.owner(config, guest.tags))


def find(api: Client, spec: Spec, cluster: Iterable[Guest] | None = None) -> Found | None:
    """None when there is none. Raises Fault where name and VMID name two machines, or the name two."""
    if not spec.name and spec.vmid is None:
        raise Fault(f"name the machine: {PREFIX}name or {PREFIX}vmid")
    cluster = api.guests() if cluster is None else list(cluster)
    found = []
    for guest in cluster:
        if guest.vmid == spec.vmid or (spec.vmid is None and guest.name == spec.name):
            found.append(guest)
        elif spec.vmid is None and guest.name in ("", f"VM {guest.vmid}") and not guest.container:
            found += [guest] if api.config(guest.node, guest.vmid).get("name") == spec.name else []
    if len(found) > 1:
        places = listed(f"VMID {guest.vmid} on {guest.node}" for guest in found)
        raise Fault(f"{spec.name} exists {len(found)} times, as {places}; say which with {PREFIX}vmid")
    if not found:
        return None
    if found[0].container:
        raise Fault(
            f"{found[0].name} (VMID {found[0].vmid}) is a container, and this role is for machines only"
        )
    one = read(api, found[0])
    if spec.name and one.config.get("name") != spec.name:
        raise Fault(
            f"VMID {spec.vmid} is {one.label}, and not {spec.name}; correct {PREFIX}vmid or {PREFIX}name"
        )
    return one


def planned(spec: Spec, arguments: Mapping[str, Any]) -> Found | None:
    """A machine that a check has made only in thought."""
    if config := arguments.get("planned"):
        guest = Guest(spec.vmid or 0, spec.name, str(arguments["node"]), False, "stopped", "")
        return Found(guest, config, owner.owner(config))
    return None


def existing(api: Client, spec: Spec) -> Found:
    cluster = api.guests()
    if one := find(api, spec, cluster):
        return one
    what = spec.name or f"VMID {spec.vmid}"
    names = [guest.name for guest in cluster if not guest.template]
    near = difflib.get_close_matches(spec.name, names, 1)
    hint = f"did you mean {near[0]}?" if near else f"there are {listed(sorted(names))}"
    raise Fault(f"Proxmox has no machine {what}, or the token may not see it: {hint}")


def refuse_locked(found: Found) -> None:
    if lock := found.config.get("lock"):
        raise Fault(
            f"{found.label} is locked ({lock}): wait for the task that holds it, or if none runs any more,"
            f" `qm unlock {found.guest.vmid}`"
        )


def refuse_template(found: Found, verb: str) -> None:
    if found.guest.template or int(found.config.get("template") or 0):
        raise Fault(
            f"{found.label} is a template, which this role does not {verb}; see role proxmox_template"
        )


def require(change: Change, *wanted: rights.Right) -> None:
    """Raises Fault with every right that the token lacks, before anything is changed."""
    if lacking := rights.missing(change.api, wanted):
        raise Fault("; ".join(lacking))


def wait(change: Change, upid: object, timeout: float = 1800) -> str:
    """Wait for a task, and say what its log says, though not each of a hundred percents; its exit status, if any."""
    if not tasks.is_upid(upid):
        return ""
    change.say(str(upid))
    return tasks.wait(change.api, str(upid), timeout, _throttled(change.say), pause=0.5, say=change.say)


def done(change: Change, begin: Callable[[], object], timeout: float = 1800) -> None:
    """Begin a task and wait for it. One that did not get the machine's lock did nothing, and is begun again."""
    for left in reversed(range(client.LOCK_TRIES)):
        try:
            return wait(change, begin(), timeout)
        except tasks.Failed as failed:
            if not left or "can't lock file" not in failed.exitstatus:
                raise
            change.say(f"{failed}; it is tried again")
            time.sleep(client.LOCK_PAUSE)
    return None


def idle(change: Change, found: Found) -> Found:
    """The machine, once the creation of a run that was killed has ended: Proxmox goes on with it."""
    if found.config.get("lock") not in BUSY:
        return found
    tasks.when_unlocked(change.api, found.guest, str(found.config.get("name") or "VM"), 1800, say=change.say)
    return read(change.api, found.guest)


def _throttled(say: Callable[[str], None]) -> Callable[[str], None]:
    last = [0.0]

    def shown(text: str) -> None:
        if text != "TASK OK" and ("%" not in text or "100" in text or time.monotonic() - last[0] >= SAID):
            last[0] = time.monotonic()
            say(text)

    return shown
