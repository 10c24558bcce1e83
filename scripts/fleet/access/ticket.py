"""An administrator's session with Proxmox: by user and password, which give a ticket, or by a token of his."""

import re
from urllib.parse import quote

from fleet.findings import Fault
from fleet.proxmox import client as proxmox
from fleet.proxmox.client import Client
from fleet.proxmox.errors import Refused

USER = re.compile(r"[^@!=\s]+@[^@!=\s]+(![^@!=\s]+)?")


def sign_in(user: str, secret: str) -> Client:
    """A client of this user, or of this token (USER@REALM!ID). Raises Fault (exit 2) with the way out."""
    if "!" in user:
        client = proxmox.connect(f"{user}={secret}")
        _asked(client, user, lambda: client.get("version"))
        return client
    client = proxmox.connect(None)
    answer = _asked(client, user, lambda: client.post("access/ticket", username=user, password=secret))
    if answer.get("NeedTFA") or str(answer["ticket"]).startswith("PVE:!tfa!"):
        message = (
            f"{user} has a second factor, which this cannot answer: make a token for this once, on a node with"
            f" `pveum user token add {user} fix-token -privsep 0`, give --user '{user}!fix-token', and remove it"
            f" afterwards with `pveum user token delete {user} fix-token`"
        )
        raise Fault(message, code=2)
    # Proxmox unescapes the cookie; every change needs the other header besides.
    client.session.headers["Cookie"] = f"PVEAuthCookie={quote(answer['ticket'], safe=':')}"
    client.session.headers["CSRFPreventionToken"] = answer["CSRFPreventionToken"]
    client.user = user
    return client


def _asked(client: Client, user: str, question):
    try:
        return question()
    except Refused as refused:
        if refused.status != 401:
            raise
    what = "secret" if "!" in user else "password"
    message = (
        f"Proxmox at {client.url} refused the login of {user}: the {what} is wrong, or there is no such user, or it"
        " is disabled or expired"
    )
    raise Fault(message, code=2)
