"""The fast clean-up: all machines at once, stopped and not shut down. What cannot go is told, and stops no other."""

import concurrent.futures
from collections.abc import Callable, Sequence

from fleet.deploy import removal
from fleet.deploy.removal import Verdict
from fleet.deploy.wanted import Wanted
from fleet.findings import Fault
from fleet.lifecycle import machine
from fleet.lifecycle.remove import vendor_snippet
from fleet.proxmox.change import Change
from fleet.proxmox.client import Client
from fleet.proxmox.guest import Guest
from fleet.proxmox.tls import CONNECTIONS
from fleet.snippets import remove as snippets
from fleet.templates import found as guests


def remove(
    api: Client, machines: Sequence[Wanted], verdicts: Sequence[Verdict], say: Callable[[str], None]
) -> list[Verdict]:
    """What is left of the machines that may go, each with the reason."""
    wanted = {one.name: one for one in machines}

    def gone(one: Verdict) -> Verdict | None:
        return _remove(api, wanted[one.name], one.guest, say) if one.guest else None

    with concurrent.futures.ThreadPoolExecutor(CONNECTIONS) as pool:
        return [left for left in pool.map(gone, (one for one in verdicts if one.goes)) if left]


def _remove(api: Client, one: Wanted, guest: Guest, say: Callable[[str], None]) -> Verdict | None:
    """None once it is gone."""
    change = Change(api, False, lambda line: say(f"{one.name}: {line}"))
    now = _stopped(change, one, guest)
    if now is None:
        say(f"{one.name} went away meanwhile")
        return None
    if now.stays or not now.found:
        return now
    label, path = now.found.label, now.found.path
    try:
        machine.done(change, lambda: api.delete(path, purge=1))
    except Fault as fault:
        if removal.judge(api, one, guest) is not None:  # else only the answer was lost
            return now._replace(reason=str(fault))
    say(f"{label} is removed")
    if vendor_snippet(now.found.config):
        try:
            snippets.run(Change(api, False, say), {"name": one.name})
        except Fault as fault:
            say(f"the snippet of {label} stays: {fault}")
    return None


def _stopped(change: Change, one: Wanted, guest: Guest) -> Verdict | None:
    """What becomes of it once it does not run; None where it is gone.

    It is looked at again before and after: the list that a person read, and the stop, may have taken minutes.
    """
    now = removal.judge(change.api, one, guest)
    if now is None or now.stays or not now.found:
        return now
    path = now.found.path
    try:
        if not guests.is_running(change.api, path):
            return now
        machine.done(change, lambda: change.api.post(f"{path}/status/stop"))
    except Fault as fault:
        left = removal.judge(change.api, one, guest)
        return left and now._replace(reason=str(fault))
    return removal.judge(change.api, one, guest)
