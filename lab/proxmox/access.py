"""Users, API tokens, roles and access lists: LAB_DIR/proxmox/access.json, read again at each request.

The lab's token (LAB_DIR/secrets/proxmox_token) has the role GitOps on /, which holds exactly the
privileges that the documentation tells a user to grant. The file holds only hashes of tokens.
"""

import hashlib
import secrets

from lab import secret, secrets_dir
from lab.proxmox import state
from lab.proxmox.errors import ApiError

ROOT_USER = "root@pam"
GITOPS = (
    "VM.Allocate", "VM.Audit", "VM.Clone", "VM.Config.CDROM", "VM.Config.CPU", "VM.Config.Cloudinit",
    "VM.Config.Disk", "VM.Config.HWType", "VM.Config.Memory", "VM.Config.Network", "VM.Config.Options",
    "VM.GuestAgent.Audit", "VM.Migrate", "VM.PowerMgmt", "Datastore.AllocateSpace", "Datastore.AllocateTemplate",
    "Datastore.Audit", "Sys.AccessNetwork",
    "Pool.Allocate", "Pool.Audit", "SDN.Use", "Sys.Audit",
)  # fmt: skip
PRIVILEGES = (*GITOPS, "VM.Backup", "VM.Console", "VM.Monitor", "VM.Snapshot", "VM.Snapshot.Rollback",
              "Datastore.Allocate", "Datastore.AllocateTemplate", "Mapping.Audit",
              "Mapping.Modify", "Mapping.Use", "Permissions.Modify", "Realm.AllocateUser",
              "SDN.Allocate", "SDN.Audit", "Sys.AccessNetwork", "Sys.Console", "Sys.Modify", "Sys.PowerMgmt",
              "Sys.Syslog", "User.Modify")  # fmt: skip
ROLES = {
    "Administrator": list(PRIVILEGES),
    "NoAccess": [],
    "PVEAuditor": [p for p in PRIVILEGES if "Audit" in p],
}


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


def _granted(data: dict, name: str, path: str) -> set[str]:
    """Privileges of a user or token by the nearest path at which it has a role."""
    parts = [part for part in path.split("/") if part]
    for length in range(len(parts), -1, -1):
        here = "/" + "/".join(parts[:length])
        found = [
            entry["roleid"]
            for entry in data["acl"]
            if entry["path"] == here
            and entry["ugid"] == name
            and (length == len(parts) or entry.get("propagate", 1))
        ]
        if found:
            roles = ROLES | data["roles"]
            return set() if "NoAccess" in found else {p for role in found for p in roles.get(role, [])}
    return set()


def privileges(caller: Caller, path: str) -> set[str]:
    """What the caller may do at a path; a machine's pool counts as well."""
    if caller.name == ROOT_USER:
        return set(PRIVILEGES)
    data = read()
    token = data["tokens"].get(caller.name, {})
    paths = [path]
    if path.startswith("/vms/"):
        pools = state.read_json(state.root() / "pools.json", {})
        paths += [f"/pool/{name}" for name, pool in pools.items() if int(path[5:]) in pool["vms"]]
    of_user = set(PRIVILEGES) if caller.user == ROOT_USER else set()
    of_user = of_user.union(*(_granted(data, caller.user, p) for p in paths))
    if caller.name != caller.user and token.get("privsep", 1):
        return of_user & set().union(*(_granted(data, caller.name, p) for p in paths))
    return of_user


def check(caller: Caller, path: str, *any_of: str) -> None:
    """ApiError 403 unless the caller has one of these privileges at the path."""
    if not privileges(caller, path) & set(any_of):
        raise ApiError(f"Permission check failed ({path}, {'|'.join(any_of)})", 403)


def may(caller: Caller, path: str, *any_of: str) -> bool:
    return bool(privileges(caller, path) & set(any_of))
