"""The tokens: until when each is valid, what it may do for each operation, and what it may do that nobody needs."""

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import Any

from fleet.access import privileges
from fleet.access.present import SOON
from fleet.doctor.line import Line, red, skipped, warning
from fleet.doctor.proxmox import DAY, Proxmox, reach
from fleet.findings import Fault, listed
from fleet.proxmox import rights
from fleet.proxmox.client import READ_TOKEN, TOKEN

FIX = "`make fix-token`"


def token(pve: Proxmox) -> Line:
    name, wanted, mend = "token", "one that Proxmox knows, with 14 days left or more", FIX
    if not TOKEN.fullmatch(pve.token):
        found = (
            "PROXMOX_VE_API_TOKEN does not have the form" if pve.token else "PROXMOX_VE_API_TOKEN is not set"
        )
        return red(name, found, "USER@REALM!ID=SECRET", mend)
    user = pve.token.partition("=")[0]
    if pve.reached.status == 401:
        return red(name, f"{user}: {pve.reached.words or 'not known'}", wanted, mend)
    return _lasting(name, user, _end(pve, user), wanted)


def _lasting(name: str, user: str, end: int | None, wanted: str) -> Line:
    if end is None:
        return Line(name, user, wanted)
    days = int((end - time.time()) // DAY)
    found = f"{user}, {f'{days} days left' if end else 'no end'}"
    return warning(name, found, wanted, FIX) if end and days < SOON else Line(name, found, wanted)


def _end(pve: Proxmox, user: str) -> int | None:
    """When token or user ends, in seconds since 1970; 0: never; None: no token here may see that.

    A token is not its own user to Proxmox, so only the list tells it, and only with Sys.Audit on /access/groups: the
    read-only token has that, the other one does not.
    """
    for client in filter(None, (pve.client, pve.reader)):
        with contextlib.suppress(Fault):  # what is wrong with the other token has a line of its own
            for entry in client.if_told("access/users", full=1) or ():
                if (end := _end_in(entry, user)) is not None:
                    return end
    return None


def _end_in(entry: Mapping[str, Any], user: str) -> int | None:
    """As a user's entry in the list has it, if it is the one of this token: the user's own end counts too."""
    owner, _, ident = user.partition("!")
    for one in (entry.get("tokens") or ()) if entry.get("userid") == owner else ():
        if one.get("tokenid") == ident:
            return min(filter(None, (int(part.get("expire") or 0) for part in (entry, one))), default=0)
    return None


def operations(pve: Proxmox) -> Iterator[Line]:
    for operation, wanted in privileges.OPERATIONS.items():
        name = f"may {operation}"
        names = listed(dict.fromkeys(" or ".join(one.privileges) for one in wanted), 20)
        lacks = rights.lacking(pve.told, wanted)
        if not lacks:
            yield Line(name, "yes", names)
            continue
        found = "; ".join(f"lacks {' or '.join(one.privileges)} on {one.path}" for one in lacks)
        first = lacks[0]._replace(privileges=privileges.of_version(lacks[0].privileges[:1], pve.release))
        yield red(name, found, names, f"{FIX}, or {rights.grant(pve.client.user, first)}")


def spare(pve: Proxmox) -> Line:
    name, wanted = "no more rights", "what the operations need, and nothing else"
    needed = {*privileges.FULL, *privileges.OPTIONAL, "VM.Monitor"}
    more = sorted({privilege for here in pve.told.values() for privilege in here} - needed)
    if not more:
        return Line(name, "none to spare", wanted)
    return warning(
        name, f"may also {listed(more, 6)}", wanted, f"{FIX} names each, with the command that takes it away"
    )


def read_token(pve: Proxmox) -> Line:
    name, wanted = "read-only token", "one that can look, and change nothing"
    if not pve.read_token:
        return skipped(name, f"set {READ_TOKEN}; {FIX} makes one for pull requests and reports")
    client = pve.reader
    if not client:
        return red(name, f"{READ_TOKEN} does not have the form", "USER@REALM!ID=SECRET", FIX)
    met = reach(client.url, pve.read_token, pve.insecure)
    if met.status == 401:
        return red(name, f"{client.user}: {met.words or 'not known'}", wanted, FIX)
    told = client.get("access/permissions")
    has = {privilege for here in told.values() for privilege in here}
    if more := sorted(has - {*privileges.READ, "VM.Monitor"}):
        return red(name, f"{client.user} may also {listed(more, 6)}", wanted, FIX)
    if lacks := rights.lacking(told, privileges.OPERATIONS["look"]):
        found = "; ".join(f"lacks {' or '.join(one.privileges)} on {one.path}" for one in lacks)
        return red(name, f"{client.user} {found}", wanted, FIX)
    return _lasting(name, client.user, _end(pve, client.user), wanted)
