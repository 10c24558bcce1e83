"""Changes to users, tokens, roles and access lists."""

import uuid

from lab.proxmox import state
from lab.proxmox.access import PRIVILEGES, ROLES, ROOT_USER, hashed, read, write
from lab.proxmox.errors import ApiError


def _change(function) -> None:
    with state.locked("access"):
        data = read()
        function(data)
        write(data)


def grant(
    path: str, roles: list[str], users: str | None, tokens: str | None, propagate: bool, remove: bool
) -> None:
    """Add or remove access list entries, as PUT /access/acl does."""
    known = ROLES | read()["roles"]
    for role in roles:
        if role not in known:
            raise ApiError(f"role '{role}' does not exist")
    names = [("user", n) for n in (users or "").split(",") if n] + [
        ("token", n) for n in (tokens or "").split(",") if n
    ]

    def change(data: dict) -> None:
        wanted = [
            {"path": path, "ugid": name, "type": kind, "roleid": role}
            for kind, name in names
            for role in roles
        ]
        same = [{k: v for k, v in entry.items() if k != "propagate"} in wanted for entry in data["acl"]]
        data["acl"] = [entry for entry, drop in zip(data["acl"], same, strict=True) if not drop]
        data["acl"] += [] if remove else [entry | {"propagate": int(propagate)} for entry in wanted]

    _change(change)


def add_role(name: str, privs: str) -> None:
    wanted = [p for p in privs.replace(" ", ",").split(",") if p]
    for privilege in wanted:
        if privilege not in PRIVILEGES:
            raise ApiError(
                "Parameter verification failed.", 400, {"privs": f"invalid privilege '{privilege}'"}
            )

    def change(data: dict) -> None:
        if name in ROLES | data["roles"]:
            raise ApiError(f"create role failed: role '{name}' already exists")
        data["roles"][name] = wanted

    _change(change)


def add_user(name: str) -> None:
    def change(data: dict) -> None:
        if name in data["users"]:
            raise ApiError(f"create user failed: user '{name}' already exists")
        data["users"][name] = {"enable": 1}

    _change(change)


def add_token(user: str, token: str, privsep: bool, expire: int) -> dict:
    """A new token; its secret is returned only this once."""
    value = str(uuid.uuid4())

    def change(data: dict) -> None:
        if user not in data["users"] and user != ROOT_USER:
            raise ApiError(f"no such user ('{user}')")
        if f"{user}!{token}" in data["tokens"]:
            raise ApiError("Parameter verification failed.", 400, {"tokenid": "Token already exists."})
        data["tokens"][f"{user}!{token}"] = {"privsep": int(privsep), "expire": expire, "hash": hashed(value)}

    _change(change)
    return {
        "full-tokenid": f"{user}!{token}",
        "value": value,
        "info": {"privsep": int(privsep), "expire": expire},
    }
