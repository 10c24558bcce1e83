"""Who sends a request: the owner of an API token or of a ticket."""

import hmac
import time

from lab import secret
from lab.proxmox.access import ROOT_USER, Caller, hashed, read
from lab.proxmox.errors import ApiError


def by_token(header: str) -> Caller:
    """The caller of `PVEAPIToken=USER@REALM!ID=SECRET`."""
    name, _, value = header.partition("=")
    user, _, token_id = name.partition("!")
    data = read()
    if user not in data["users"] and user != ROOT_USER:
        raise ApiError(f"no such user ('{user}')", 401)
    token = data["tokens"].get(name)
    if token is None:
        raise ApiError(f"no such token '{token_id}' for user '{user}'", 401)
    if not hmac.compare_digest(token["hash"], hashed(value)):
        raise ApiError("invalid token value!", 401)
    if 0 < token.get("expire", 0) < time.time():
        raise ApiError("token expired", 401)
    return Caller(name)


def login(user: str, password: str) -> dict:
    """A ticket for a user with a password; only root@pam has one."""
    if user != ROOT_USER or not hmac.compare_digest(password, secret("proxmox_root_password")):
        raise ApiError("authentication failure", 401)
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
    if csrf is not None and csrf != f"{issued}:{_signed('csrf' + body)}":
        raise ApiError("Permission denied - invalid csrf token", 401)
    return Caller(user)


def _signed(text: str) -> str:
    return hmac.new(read()["ticket_key"].encode(), text.encode(), "sha256").hexdigest()
