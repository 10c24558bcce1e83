"""Who sends a request: the owner of an API token or of a ticket."""

import hmac
import time

from lab import secret
from lab.proxmox import accounts, faults
from lab.proxmox.access import ROOT_USER, Caller, hashed, read
from lab.proxmox.errors import ApiError


def by_token(header: str) -> Caller:
    """The caller of `PVEAPIToken=USER@REALM!ID=SECRET`."""
    name, _, value = header.partition("=")
    user, _, token_id = name.partition("!")
    data = read()
    try:
        accounts.check_enabled(data, user)
        token = accounts.token(data, user, token_id)
        if 0 < token.get("expire", 0) < time.time():
            raise ApiError(f"token '{token_id}' access expired")
        if not hmac.compare_digest(token["hash"], hashed(value)):
            raise ApiError("invalid token value!")
    except ApiError as error:
        raise ApiError(error.message, 401) from None
    return Caller(name)


def login(user: str, password: str) -> dict:
    """A ticket for a user with a password; only root@pam has one.

    With a second factor it is only good for answering with that factor.
    """
    if user != ROOT_USER or not hmac.compare_digest(password, secret("proxmox_root_password")):
        raise ApiError("authentication failure", 401)
    if faults.second_factor(user):
        # As in Proxmox, percent-encoded JSON of the challenge stands where the user's name does.
        stamp = f"!tfa!%7B%22totp%22%3Atrue%7D:{int(time.time()):08X}"
        csrf = f"{stamp.rpartition(':')[2]}:{_signed('csrf' + stamp)}"
        return {
            "username": user,
            "ticket": f"PVE:{stamp}::{_signed(stamp)}",
            "CSRFPreventionToken": csrf,
            "NeedTFA": 1,
        }
    stamp = f"{user}:{int(time.time()):08X}"
    return {
        "username": user,
        "ticket": f"PVE:{stamp}::{_signed(stamp)}",
        "CSRFPreventionToken": f"{stamp.rpartition(':')[2]}:{_signed('csrf' + stamp)}",
        "clustername": "lab",
        "cap": {},
    }


def by_ticket(ticket: str, csrf: str | None) -> Caller:
    """The caller of a ticket; `csrf` is None for requests that change nothing."""
    body, _, signature = ticket.removeprefix("PVE:").partition("::")
    user, _, issued = body.rpartition(":")
    if not ticket.startswith("PVE:") or not hmac.compare_digest(signature, _signed(body)):
        raise ApiError("permission denied - invalid PVE ticket", 401)
    if int(issued, 16) < time.time() - 7200:
        raise ApiError("permission denied - invalid PVE ticket", 401)
    if user.startswith("!tfa!"):
        raise ApiError("No ticket", 401)
    if csrf is not None and csrf != f"{issued}:{_signed('csrf' + body)}":
        raise ApiError("Permission denied - invalid csrf token", 401)
    return Caller(user)


def _signed(text: str) -> str:
    return hmac.new(read()["ticket_key"].encode(), text.encode(), "sha256").hexdigest()
