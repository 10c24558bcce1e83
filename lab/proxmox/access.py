"""Users, API tokens, roles and access lists: LAB_DIR/proxmox/access.json, read again at each request.

The lab's token (LAB_DIR/secrets/proxmox_token) has the role GitOps on /, which holds exactly the
privileges that the documentation tells a user to grant. The file holds only hashes of tokens.
"""

import hashlib
import re
import secrets

from lab import secret, secrets_dir
from lab.proxmox import roles, state
from lab.proxmox.errors import ApiError

ROOT_USER = "root@pam"
GITOPS = (
    "VM.Allocate", "VM.Audit", "VM.Clone", "VM.Config.CDROM", "VM.Config.CPU", "VM.Config.Cloudinit",
    "VM.Config.Disk", "VM.Config.HWType", "VM.Config.Memory", "VM.Config.Network", "VM.Config.Options",
    "VM.GuestAgent.Audit", "VM.Migrate", "VM.PowerMgmt", "Datastore.AllocateSpace", "Datastore.AllocateTemplate",
    "Datastore.Audit", "Sys.AccessNetwork",
    "Pool.Allocate", "Pool.Audit", "SDN.Audit", "SDN.Use", "Sys.Audit",
)  # fmt: skip


class Caller:
    """The sender of a request: `name` is the user or USER!TOKEN, as UPIDs show it."""

    def __init__(self, name: str):
        self.name = name
        self.user = name.partition("!")[0]


def _path():
    return state.root() / "access.json"


def read() -> dict:
    return state.read_json(_path(), {})


def write(data: dict) -> None:
    state.write_json(_path(), data)


def prepare() -> None:
    """Make the lab's user, role and token unless they are there; the token follows the secret's file."""
    with state.locked("access"):
        data = read() or {"users": {}, "tokens": {}, "roles": {}, "acl": []}
        token, _, value = secret("proxmox_token").partition("=")
        user = token.partition("!")[0]
        if user not in data["users"]:
            data["users"][user] = {"enable": 1}
            data["roles"]["GitOps"] = list(GITOPS)
            data["acl"].append(
                {"path": "/", "ugid": user, "type": "user", "roleid": "GitOps", "propagate": 1}
            )
        data["tokens"].setdefault(token, {"privsep": 0})["hash"] = hashed(value)
        data.setdefault("ticket_key", secrets.token_hex(16))
        write(data)
    password = secrets_dir() / "proxmox_root_password"
    if not password.exists():
        with password.open("x") as file:
            password.chmod(0o600)
            file.write(secrets.token_urlsafe(18) + "\n")


def hashed(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()


def known_roles(data: dict) -> dict[str, tuple[str, ...]]:
    """Every role with its privileges; those of the other release count for nothing, as after an upgrade."""
    valid = roles.privileges()
    made = {name: tuple(one for one in names if one in valid) for name, names in data["roles"].items()}
    return made | roles.special()


def _roles(data: dict, name: str, path: str) -> dict[str, int]:
    """A user's or token's roles at a path, each with whether it holds below as well; the nearest path decides."""
    parts = [part for part in path.split("/") if part]
    for length in range(len(parts), -1, -1):
        here, found = "/" + "/".join(parts[:length]), {}
        for entry in data["acl"]:
            propagate = int(entry.get("propagate", 1))
            if entry["path"] == here and entry["ugid"] == name and (length == len(parts) or propagate):
                found[entry["roleid"]] = propagate
        if found:
            return found
    return {}


def _granted(data: dict, name: str, path: str, pools: list[str]) -> dict[str, int]:
    """Privileges at a path, of which `pools` are the pools; what a pool gives does not hold below."""
    held = _roles(data, name, path)
    for pool in pools if "NoAccess" not in held else ():
        given = _roles(data, name, f"/pool/{pool}")
        held = {"NoAccess": 0} if "NoAccess" in given else dict.fromkeys(given, 0) | held
    if "NoAccess" in held:
        return {}
    found: dict[str, int] = {}
    known = known_roles(data)
    for role, propagate in held.items():
        for privilege in known.get(role, ()):
            found[privilege] = found.get(privilege) or propagate
    return found


def privileges(name: str, path: str) -> dict[str, int]:
    """What a user or token may do at a path, each privilege with whether it holds below as well."""
    data, user = read(), name.partition("!")[0]
    token = data["tokens"].get(name, {})
    pools = []
    if vmid := re.fullmatch(r"/vms/(\d+)", path):
        known = state.read_json(state.root() / "pools.json", {})
        pools = [pool for pool, about in known.items() if int(vmid[1]) in about["vms"]]
    of_user = dict.fromkeys(roles.privileges(), 1) if user == ROOT_USER else _granted(data, user, path, pools)
    if name == user or not token.get("privsep", 1):
        return of_user
    of_token = _granted(data, name, path, pools)
    return {p: int(of_user[p] and of_token[p]) for p in of_token if p in of_user}


def effective(name: str) -> dict[str, dict[str, int]]:
    """All paths that count for anybody, those left out at which the user or token has no right."""
    known = state.read_json(state.root() / "pools.json", {})
    paths = {"/", "/access", "/access/groups", "/nodes", "/pool", "/sdn", "/storage", "/vms"}
    paths |= {entry["path"] for entry in read()["acl"]}
    paths |= {f"/vms/{vmid}" for about in known.values() for vmid in about["vms"]}
    return {path: found for path in sorted(paths) if (found := privileges(name, path))}


def check(caller: Caller, path: str, *any_of: str) -> None:
    """ApiError 403 unless the caller has one of these privileges at the path."""
    if not may(caller, path, *any_of):
        raise ApiError(f"Permission check failed ({path}, {'|'.join(any_of)})", 403)


def may(caller: Caller, path: str, *any_of: str) -> bool:
    return not set(any_of).isdisjoint(privileges(caller.name, path))
