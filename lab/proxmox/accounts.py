"""Changes to users, tokens, roles and access lists: user.cfg of pve-access-control."""

import re
import time
import uuid
from collections.abc import Callable

from lab.proxmox import roles, state
from lab.proxmox.access import ROOT_USER, hashed, known_roles, read, write
from lab.proxmox.errors import ApiError, invalid

ACL_PATH = re.compile(
    r"/|/access(/(groups|realm)(/[\w.-]+)?)?|/nodes(/[\w.-]+)?|/pool(/[\w.-]+){0,3}|/storage(/[\w.-]+)?"
    r"|/vms(/[1-9][0-9]{2,})?|/mapping(/[\w.-]+){0,2}|/sdn(/(controllers|dns|fabrics|ipams)(/[\w-]+)?)?"
    r"|/sdn/zones(/[\w.-]+){0,2}|/sdn/zones/[\w.-]+/[\w.-]+/[1-9][0-9]{0,3}"
)


def change(what: str, function: Callable[[dict], None]) -> None:
    """Do it under user.cfg's lock; Proxmox puts `what` before the reason of a refusal."""
    with state.locked("access"):
        data = read()
        try:
            function(data)
        except ApiError as error:
            if error.status == 500:
                raise ApiError(f"{what}: {error.message}") from None
            raise
        write(data)


def user(data: dict, name: str) -> dict:
    """A user's entry; root@pam is always there."""
    if name not in data["users"] and name != ROOT_USER:
        raise ApiError(f"no such user ('{name}')")
    return data["users"].get(name, {"enable": 1})


def token(data: dict, name: str, token_id: str) -> dict:
    user(data, name)
    found = data["tokens"].get(f"{name}!{token_id}")
    if found is None:
        raise ApiError(f"no such token '{token_id}' for user '{name}'")
    return found


def check_enabled(data: dict, name: str) -> None:
    """ApiError unless the user may log in now."""
    found = user(data, name)
    if not found.get("enable", 1):
        raise ApiError(f"user '{name}' is disabled")
    if 0 < found.get("expire", 0) < time.time():
        raise ApiError(f"user '{name}' access expired")


def info(entry: dict) -> dict:
    """What Proxmox tells of a token."""
    return {key: entry[key] for key in ("privsep", "expire", "comment") if key in entry}


def grant(
    path: str, roles: list[str], users: str | None, tokens: str | None, propagate: bool, remove: bool
) -> None:
    """Add or remove access list entries, as PUT /access/acl does."""
    names = [("user", n) for n in (users or "").split(",") if n] + [
        ("token", n) for n in (tokens or "").split(",") if n
    ]

    def grant_or_remove(data: dict) -> None:
        for role in roles:
            if role not in known_roles(data):
                raise ApiError(f"role '{role}' does not exist")
        for kind, name in names:
            if kind == "token":
                token(data, *name.partition("!")[::2])
            elif name not in data["users"] and name != ROOT_USER:
                raise ApiError(f"user '{name}' does not exist")
        wanted = [
            {"path": path, "ugid": name, "type": kind, "roleid": role}
            for kind, name in names
            for role in roles
        ]
        same = [{k: v for k, v in entry.items() if k != "propagate"} in wanted for entry in data["acl"]]
        data["acl"] = [entry for entry, drop in zip(data["acl"], same, strict=True) if not drop]
        data["acl"] += [] if remove else [entry | {"propagate": int(propagate)} for entry in wanted]

    change("ACL update failed", grant_or_remove)


def _privileges(text: str) -> list[str]:
    wanted = [one for one in re.split(r"[,;\s]+", text) if one]
    for one in wanted:
        if one not in roles.privileges():
            raise invalid(privs=f"invalid format - invalid privilege '{one}'\n")
    return wanted


def add_role(name: str, privs: str) -> None:
    wanted = _privileges(privs)

    def add(data: dict) -> None:
        if name in known_roles(data):
            raise ApiError(f"role '{name}' already exists")
        data["roles"][name] = wanted

    change("create role failed", add)


def change_role(name: str, privs: str, append: bool) -> None:
    wanted = _privileges(privs)
    if name in roles.special():
        raise ApiError(f"auto-generated role '{name}' cannot be modified")

    def update(data: dict) -> None:
        if name not in data["roles"]:
            raise ApiError(f"role '{name}' does not exist")
        data["roles"][name] = list(dict.fromkeys([*(data["roles"][name] if append else ()), *wanted]))

    change("update role failed", update)


def remove_role(name: str) -> None:
    if name in roles.special():
        raise ApiError(f"auto-generated role '{name}' cannot be deleted")

    def remove(data: dict) -> None:
        if data["roles"].pop(name, None) is None:
            raise ApiError(f"role '{name}' does not exist")
        # Proxmox leaves them in the file, and drops them when it reads it.
        data["acl"] = [entry for entry in data["acl"] if entry["roleid"] != name]

    change("delete role failed", remove)


def add_user(name: str, **fields) -> None:
    def add(data: dict) -> None:
        if name in data["users"] or name == ROOT_USER:
            raise ApiError(f"user '{name}' already exists")
        data["users"][name] = {"enable": 1} | fields

    change("create user failed", add)


def change_user(name: str, fields: dict) -> None:
    change("update user failed", lambda data: user(data, name).update(fields))


def remove_user(name: str) -> None:
    def remove(data: dict) -> None:
        user(data, name)
        data["users"].pop(name, None)
        owned = {one for one in data["tokens"] if one.partition("!")[0] == name}
        data["tokens"] = {one: entry for one, entry in data["tokens"].items() if one not in owned}
        data["acl"] = [entry for entry in data["acl"] if entry["ugid"] not in {name, *owned}]

    change("delete user failed", remove)


def add_token(name: str, token_id: str, privsep: bool, expire: int | None, comment: str = "") -> dict:
    """A new token; its secret is returned only this once."""
    value = str(uuid.uuid4())
    full = f"{name}!{token_id}"
    entry = {"privsep": int(privsep)}
    entry |= {} if expire is None else {"expire": expire}
    entry |= {"comment": comment} if comment else {}

    def add(data: dict) -> None:
        user(data, name)
        if full in data["tokens"]:
            raise invalid(tokenid="Token already exists.")
        data["tokens"][full] = entry | {"hash": hashed(value)}

    change("generating token failed", add)
    return {"full-tokenid": full, "value": value, "info": entry}


def change_token(name: str, token_id: str, fields: dict) -> dict:
    """The token as it is then. (That a change can make a new secret came with pve-access-control 9.1.0.)"""

    def update(data: dict) -> None:
        entry = token(data, name, token_id)
        entry.update(fields)
        if not entry.get("comment"):
            entry.pop("comment", None)

    change("updating token info failed", update)
    return info(read()["tokens"][f"{name}!{token_id}"])


def remove_token(name: str, token_id: str) -> None:
    def remove(data: dict) -> None:
        token(data, name, token_id)
        full = f"{name}!{token_id}"
        del data["tokens"][full]
        # Proxmox drops the rights of a token that is gone when it reads its file: a new one of the name has none.
        data["acl"] = [entry for entry in data["acl"] if entry["ugid"] != full]

    change("deleting token failed", remove)
