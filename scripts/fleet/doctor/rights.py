"""The tokens: until when each is valid, what it may do for each operation, and what it may do that nobody needs."""

import time
from collections.abc import Iterator
from os import environ

from fleet.access import privileges
from fleet.doctor.line import Line, red, skipped, warning
from fleet.doctor.proxmox import DAY, Proxmox, reach
from fleet.findings import listed
from fleet.proxmox import rights, tls
from fleet.proxmox.client import TOKEN, Client

SOON = 14  # days
READ_TOKEN = "PROXMOX_READ_API_TOKEN"
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
    return _lasting(name, user, _end(pve.client, user), wanted)


def _lasting(name: str, user: str, end: int | None, wanted: str) -> Line:
    if end is None:
        return Line(name, f"{user}; its end is not shown to it", wanted)
    days = int((end - time.time()) // DAY)
    found = f"{user}, {f'{days} days left' if end else 'no end'}"
    return warning(name, found, wanted, FIX) if end and days < SOON else Line(name, found, wanted)


def _end(client: Client, user: str) -> int | None:
    """When token or user ends, in seconds since 1970; 0: never; None: it may not see that.

    A token is not its own user to Proxmox, so only the list tells it, and only with Sys.Audit on /access/groups.
    """
    owner, _, ident = user.partition("!")
    for entry in client.if_told("access/users", full=1) or ():
        if entry.get("userid") == owner:
            for one in entry.get("tokens") or ():
                if one.get("tokenid") == ident:
                    ends = [int(part.get("expire") or 0) for part in (entry, one)]
                    return min(filter(None, ends), default=0)
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
    return warning(name, f"may also {listed(more, 6)}", wanted, FIX)


def read_token(pve: Proxmox) -> Line:
    name, wanted = "read-only token", "one that can look, and change nothing"
    token = environ.get(READ_TOKEN, "").strip()
    if not token:
        return skipped(name, f"set {READ_TOKEN}; `make fix-token` makes one for pull requests and reports")
    if not TOKEN.fullmatch(token):
        return red(name, f"{READ_TOKEN} does not have the form", "USER@REALM!ID=SECRET", FIX)
    met = reach(tls.checked(pve.endpoint), token, pve.insecure)
    client = Client(pve.endpoint, token, pve.insecure)
    if met.status == 401:
        return red(name, f"{client.user}: {met.words or 'not known'}", wanted, FIX)
    told = client.get("access/permissions")
    has = {privilege for here in told.values() for privilege in here}
    if more := sorted(has - {*privileges.READ, "VM.Monitor"}):
        return red(name, f"{client.user} may also {listed(more, 6)}", wanted, FIX)
    if lacks := rights.lacking(told, privileges.OPERATIONS["look"]):
        found = "; ".join(f"lacks {' or '.join(one.privileges)} on {one.path}" for one in lacks)
        return red(name, f"{client.user} {found}", wanted, FIX)
    return Line(name, client.user, wanted)
