"""Which rights an operation needs that the token lacks, each with the command that grants it."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from fleet.proxmox.client import Client

RENAMED = {"VM.GuestAgent.Audit": "VM.Monitor"}  # in Proxmox VE 9: new name to old


class Right(NamedTuple):
    """One of these privileges, on this path of the access lists."""

    path: str
    privileges: tuple[str, ...]


def right(path: str, *any_of: str) -> Right:
    return Right(path, any_of)


def release(client: Client) -> int:
    """The major version of Proxmox VE, which decides the names of privileges."""
    return int(client.get("version")["version"].partition(".")[0])


def missing(client: Client, wanted: Iterable[Right]) -> list[str]:
    """What the token lacks, as sentences for a person; one request, whatever the number of rights.

    Where a privilege is lacking that was renamed, a second one asks for the version.
    """
    found = lacking(client.get("access/permissions"), wanted)
    renamed = any({*RENAMED, *RENAMED.values()} & {*one.privileges} for one in found)
    is_old = renamed and release(client) < 9
    return [_sentence(client.user, Right(one.path, _names(one, is_old))) for one in found]


def _names(wanted: Right, is_old: bool) -> tuple[str, ...]:
    """The privileges that the version at hand knows."""
    if is_old:
        return tuple(dict.fromkeys(RENAMED.get(name, name) for name in wanted.privileges))
    return tuple(name for name in wanted.privileges if name not in RENAMED.values())


def lacking(told: Mapping[str, Mapping[str, Any]], wanted: Iterable[Right]) -> list[Right]:
    """Those that a token lacks; `told`: what Proxmox answers about its permissions."""
    return [one for one in dict.fromkeys(wanted) if not _has(told, one)]


def _has(told: Mapping[str, Mapping[str, Any]], wanted: Right) -> bool:
    """Whether one of the privileges counts for the path.

    Proxmox tells every path that has an access list entry of its own, with 1 for what is inherited below it. So for any
    other path the nearest path above it that was told decides.
    """
    path = wanted.path
    if path in told:
        return any(name in told[path] for name in wanted.privileges)
    while path != "/" and path not in told:
        path = path.rpartition("/")[0] or "/"
    return any(int(told.get(path, {}).get(name) or 0) for name in wanted.privileges)


def grant(user: str, wanted: Right) -> str:
    """The commands that give a right."""
    owner, separator, _ = user.partition("!")
    # With privilege separation, which is the default, a token may do what both it and its user may do.
    who = f"-user {owner} -token '{user}'" if separator else f"-user {user}"
    return (
        f"`pveum role modify GitOps -append -privs {wanted.privileges[0]}`, and where the role is not given there,"
        f" `pveum acl modify {wanted.path} {who} -role GitOps`"
    )


def _sentence(user: str, wanted: Right) -> str:
    return f"{user} lacks {' or '.join(wanted.privileges)} on {wanted.path}: {grant(user, wanted)}"
