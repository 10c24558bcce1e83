"""What is missing in Proxmox for the project's tokens, as calls that mend it."""

import datetime
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from fleet.access import wanted
from fleet.access.present import Entry, Present, User, is_near
from fleet.access.privileges import of_version
from fleet.access.wanted import ROLES, TOKENS, USER, Grant, Token
from fleet.console import table


class Change(NamedTuple):
    """One call: what it is about, what was found there, what is done. `makes` is the token whose secret it answers."""

    subject: str
    found: str
    does: str
    method: str
    path: str
    fields: Mapping[str, Any] = {}
    makes: Token | None = None


def changes(present: Present, rotate: Collection[str] = ()) -> list[Change]:
    """All that is to be done, in an order in which a token that works goes on working; `rotate` has IDs of tokens."""
    user = present.users.get(USER)
    renewed = [token for token in TOKENS if token.id in rotate and user and token.id in user.tokens]
    names = {token.name for token in renewed}  # Proxmox takes their rights away with them
    kept = tuple(entry for entry in present.entries if entry.who not in names)
    return [
        *_roles(present),
        *_user(user),
        *(change for token in TOKENS for change in _made(token, user, token in renewed)),
        *_grants(kept, names),
        *(change for token in TOKENS if token not in renewed for change in _mended(token, user)),
    ]


def _roles(present: Present) -> Iterator[Change]:
    for role, privileges in ROLES.items():
        needed = of_version(privileges, present.version)
        if role not in present.roles:
            does = f"made with {len(needed)} privileges"
            fields = {"roleid": role, "privs": ",".join(needed)}
            yield Change(f"role {role}", "missing", does, "post", "access/roles", fields)
        elif lacks := sorted({*needed} - present.roles[role]):
            fields = {"append": 1, "privs": ",".join(lacks)}
            yield Change(
                f"role {role}",
                f"lacks {', '.join(lacks)}",
                "completed",
                "put",
                f"access/roles/{role}",
                fields,
            )


def _user(user: User | None) -> Iterator[Change]:
    subject, path = f"user {USER}", f"access/users/{USER}"
    if user is None:
        fields = {"userid": USER, "comment": "machines from Git; has no password"}
        yield Change(subject, "missing", "made without a password", "post", "access/users", fields)
        return
    if not user.enabled:
        yield Change(subject, "disabled", "enabled", "put", path, {"enable": 1})
    if is_near(user.expire):
        yield Change(subject, _ends(user.expire), "does not expire", "put", path, {"expire": 0})


def _path(token: Token) -> str:
    return f"access/users/{USER}/token/{token.id}"


def _made(token: Token, user: User | None, renew: bool) -> Iterator[Change]:
    subject = f"token {token.name}"
    if renew:
        yield Change(subject, "has an old secret", "removed", "delete", _path(token))
    if renew or user is None or token.id not in user.tokens:
        does = f"made with privilege separation; its secret goes into .env as {token.variable}"
        found = "removed" if renew else "missing"
        yield Change(subject, found, does, "post", _path(token), {"privsep": 1}, token)


def _mended(token: Token, user: User | None) -> Iterator[Change]:
    """After its rights are there, or a token without privilege separation would have none for a moment."""
    found = user and user.tokens.get(token.id)
    if not found:
        return
    subject = f"token {token.name}"
    if is_near(found.expire):
        does = "does not expire"
        yield Change(subject, _ends(found.expire), does, "put", _path(token), {"expire": 0})
    if not found.separated:
        does = "privilege separation: only what its own roles say"
        yield Change(subject, "may do all that its user may", does, "put", _path(token), {"privsep": 1})


def _grants(entries: Collection[Entry], renewed: Collection[str]) -> Iterator[Change]:
    """One call for each role on each path, for all who lack it there."""
    lacking: dict[Grant, list[str]] = {}
    for who, grants in wanted.grants().items():
        for grant in grants:
            if not any(_covers(entry, who, grant) for entry in entries):
                lacking.setdefault(grant, []).append(who)
    for grant, names in lacking.items():
        fields = {
            "path": grant.path,
            "roles": grant.role,
            "propagate": int(grant.below),
            "users": ",".join(name for name in names if "!" not in name) or None,
            "tokens": ",".join(name for name in names if "!" in name) or None,
        }
        kept = "" if grant.below else ", not below it"
        found = "goes with its token" if renewed and set(names) <= set(renewed) else "missing"
        does = f"given to {', '.join(names)}"
        yield Change(f"{grant.role} on {grant.path}{kept}", found, does, "put", "access/acl", fields)


def _covers(entry: Entry, who: str, grant: Grant) -> bool:
    place = (entry.path, entry.who, entry.role) == (grant.path, who, grant.role)
    return place and (entry.below or not grant.below)


def shown(changes: Iterable[Change]) -> str:
    """A table for a person."""
    return table(("what", "found", "will be"), ((one.subject, one.found, one.does) for one in changes))


def _ends(expire: int) -> str:
    day = datetime.datetime.fromtimestamp(expire, datetime.UTC).date()
    return f"{'expired' if expire < time.time() else 'ends'} on {day.isoformat()}"
