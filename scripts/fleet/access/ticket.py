"""An administrator's session with Proxmox: by user and password, which give a ticket, or by a token of his."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from fleet.findings import Fault
from fleet.proxmox import client as proxmox
from fleet.proxmox.client import Client
from fleet.proxmox.errors import Refused

USER = re.compile(r"[^@!=\s]+@[^@!=\s]+(![^@!=\s]+)?")


def sign_in(client: Client, user: str, secret: str) -> None:
    """Make a client that is nobody's this user's, or this token's (USER@REALM!ID). Raises Fault (exit 2)."""
    client.user = user
    if "!" in user:
        if not proxmox.TOKEN.fullmatch(f"{user}={secret}"):
            message = f"what is given for {user} is not the secret of a token, as 12345678-90ab-cdef-1234-567890abcdef"
            raise Fault(message, code=2)
        client.session.headers["Authorization"] = f"PVEAPIToken={user}={secret}"
        _asked(client, lambda: client.get("version"))
        return
    answer = _asked(client, lambda: client.post("access/ticket", username=user, password=secret))
    if answer.get("NeedTFA"):
        message = (
            f"{user} has a second factor, which this cannot answer: make a token for this once, on a node with"
            f" `pveum user token add {user} fix-token -privsep 0`, give --user '{user}!fix-token', and remove it"
            f" afterwards with `pveum user token delete {user} fix-token`"
        )
        raise Fault(message, code=2)
    # Proxmox unescapes the cookie; a change needs the other header besides.
    client.session.headers["Cookie"] = f"PVEAuthCookie={quote(answer['ticket'], safe=':')}"
    client.session.headers["CSRFPreventionToken"] = answer["CSRFPreventionToken"]


def _asked(client: Client, question: Callable[[], Any]) -> Any:
    try:
        return question()
    except Refused as refused:
        if refused.status != 401:
            raise
    what = "secret" if "!" in client.user else "password"
    message = (
        f"Proxmox at {client.url} refused the login of {client.user}: the {what} is wrong, or there is no such user,"
        " or it is disabled or expired"
    )
    raise Fault(message, code=2)
