"""What Proxmox has of roles, users, tokens and access lists, as far as the caller may see it."""

import time
from collections.abc import Mapping
from typing import NamedTuple

from fleet.proxmox.client import Client
from fleet.proxmox.rights import release

SOON = 14  # days before a user or a token ends in which something is said and done about it


class Token(NamedTuple):
    """`expire` in seconds since 1970, 0 for never."""

    separated: bool
    expire: int


class User(NamedTuple):
    enabled: bool
    expire: int
    tokens: Mapping[str, Token]


class Entry(NamedTuple):
    """A role of a user or token (`who`) on a path; `below`: on all paths below it too."""

    path: str
    who: str
    role: str
    below: bool


class Present(NamedTuple):
    """`version` is the major one of Proxmox VE."""

    version: int
    roles: Mapping[str, frozenset[str]]
    users: Mapping[str, User]
    entries: tuple[Entry, ...]


def read(client: Client) -> Present:
    """Four questions, whatever there is."""
    return Present(
        release(client),
        {
            one["roleid"]: frozenset(filter(None, one["privs"].split(",")))
            for one in client.get("access/roles")
        },
        {one["userid"]: _user(one) for one in client.get("access/users", full=1)},
        tuple(_entry(one) for one in client.get("access/acl") if one["type"] != "group"),
    )


def is_near(expire: int) -> bool:
    """Whether that end has come, or comes soon."""
    return 0 < expire < time.time() + SOON * 86400


def _user(one: Mapping) -> User:
    tokens = {token["tokenid"]: _token(token) for token in one.get("tokens") or ()}
    return User(bool(int(one.get("enable") or 0)), int(one.get("expire") or 0), tokens)


def _token(one: Mapping) -> Token:
    return Token(bool(int(one.get("privsep") or 0)), int(one.get("expire") or 0))


def _entry(one: Mapping) -> Entry:
    return Entry(one["path"], one["ugid"], one["roleid"], bool(int(one.get("propagate", 1))))
