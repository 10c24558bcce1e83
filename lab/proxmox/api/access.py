"""Tickets, tokens, users, roles and access lists."""

import re

from lab.proxmox import access, accounts, login
from lab.proxmox import roles as known
from lab.proxmox.errors import ApiError, invalid
from lab.proxmox.routes import Request, route
from lab.proxmox.schema import Prop

USER = r"[^\s:/]+@[A-Za-z][\w.-]+"
NUMBER, FLAG, TEXT = Prop("integer", minimum=0), Prop("boolean"), Prop()
ABOUT_USER = {
    "enable": FLAG,
    "expire": NUMBER,
    "comment": TEXT,
    "firstname": TEXT,
    "lastname": TEXT,
    "email": TEXT,
}
ABOUT_TOKEN = {"expire": NUMBER, "privsep": FLAG, "comment": TEXT}
TOKEN = "/access/users/{user}/token/{token}"


@route("POST", "/access/ticket")
def ticket(request: Request):
    user = request.required("username")
    realm = request.params.get("realm")
    return login.login(f"{user}@{realm}" if realm and "@" not in user else user, request.required("password"))


@route("GET", "/access/permissions")
def permissions(request: Request):
    request.fits({"path": Prop(pattern=r"/.*"), "userid": Prop(pattern=rf"{USER}(![^\s:/!]+)?")})
    name, path = request.params.get("userid", request.caller.name), request.params.get("path")
    if request.caller.name not in (name, name.partition("!")[0]):
        request.check("/access", "Sys.Audit")
    return {path: access.privileges(name, path)} if path else access.effective(name)


@route("GET", "/access/roles")
def roles(_request: Request):
    return [
        {"roleid": name, "privs": ",".join(sorted(privs)), "special": int(name in known.special())}
        for name, privs in access.known_roles(access.read()).items()
    ]


@route("POST", "/access/roles")
def role_create(request: Request):
    request.check("/access", "Sys.Modify")
    request.fits({"roleid": Prop(pattern=r"[\w.-]+", required=True), "privs": TEXT})
    if request.params["roleid"].lower().startswith("pve"):
        raise invalid(roleid="cannot use role ID starting with the (case-insensitive) 'PVE' namespace")
    accounts.add_role(request.params["roleid"], request.params.get("privs", ""))


@route("GET", "/access/roles/{role}")
def role_read(request: Request):
    found = access.known_roles(access.read()).get(request.names["role"])
    if found is None:
        raise ApiError(f"role '{request.names['role']}' does not exist")
    return dict.fromkeys(found, 1)


@route("PUT", "/access/roles/{role}")
def role_update(request: Request):
    request.check("/access", "Sys.Modify")
    request.fits({"privs": TEXT, "append": Prop("boolean", needs="privs")})
    accounts.change_role(request.names["role"], request.params.get("privs", ""), request.flag("append"))


@route("DELETE", "/access/roles/{role}")
def role_delete(request: Request):
    request.check("/access", "Sys.Modify")
    request.fits({})
    accounts.remove_role(request.names["role"])


def _may_change(request: Request, path: str) -> bool:
    below = {"/storage/": "Datastore.Allocate", "/vms/": "VM.Allocate", "/pool/": "Pool.Allocate"}
    more = [privilege for prefix, privilege in below.items() if path.startswith(prefix)]
    return request.may(path, "Permissions.Modify", *more)


@route("GET", "/access/acl")
def acl(request: Request):
    request.fits({})
    audit = request.may("/access", "Sys.Audit")
    return [entry for entry in access.read()["acl"] if audit or _may_change(request, entry["path"])]


@route("PUT", "/access/acl")
def acl_change(request: Request):
    path = re.sub("/+", "/", "/" + request.required("path").strip("/"))
    if not _may_change(request, path):
        request.check(path, "Permissions.Modify")
    request.fits({
        "path": Prop(required=True), "roles": Prop(required=True), "users": TEXT, "tokens": TEXT,
        "propagate": FLAG, "delete": FLAG,
    })  # fmt: skip
    users, tokens = request.params.get("users"), request.params.get("tokens")
    if not users and not tokens:
        text = "either 'users', 'groups' or 'tokens' is required."
        raise invalid(users=text, groups=text, tokens=text)
    if not accounts.ACL_PATH.fullmatch(path) and not request.flag("delete"):
        raise invalid(path=f"invalid ACL path '{request.params['path']}'")
    names = request.params["roles"].split(",")
    held, everything = access.privileges(request.caller.name, path), access.known_roles(access.read())
    for name in names if "Permissions.Modify" not in held else ():
        if not set(everything.get(name, ())) <= held.keys() or name == "NoAccess":
            verb = "remove" if request.flag("delete") else "add"
            reason = f"Cannot {verb} role '{name}' - requires 'Permissions.Modify' or superset of privileges."
            raise invalid(role=reason)
    accounts.grant(
        path, names, users, tokens, propagate=request.flag("propagate", True), remove=request.flag("delete")
    )


def _typed(request: Request, form: dict[str, Prop]) -> dict:
    """The parameters of a form, as user.cfg has them."""
    found = {key: value for key, value in request.params.items() if key in form}
    for key, value in found.items():
        if form[key].kind == "boolean":
            found[key] = int(request.flag(key))
        elif form[key].kind == "integer":
            found[key] = int(value)
    return found


def _check_known(request: Request, *any_of: str) -> None:
    """The rights of 'userid-group' for a user that is there."""
    if request.caller.name != access.ROOT_USER:
        accounts.user(access.read(), request.names["user"])
        if not request.may("/access/groups", *any_of):
            raise ApiError("Permission check failed", 403)


def _check_own(request: Request, *any_of: str) -> None:
    """The same, or the user's own ticket; a token is not its user."""
    if request.caller.name == request.names["user"] or request.caller.name == access.ROOT_USER:
        return
    if request.names["user"] not in access.read()["users"] or not request.may("/access/groups", *any_of):
        raise ApiError("Permission check failed", 403)


@route("GET", "/access/users")
def users(request: Request):
    request.fits({"enabled": FLAG, "full": FLAG})
    data, everybody = access.read(), request.may("/access/groups", "User.Modify", "Sys.Audit")
    found = []
    for name, about in sorted(({access.ROOT_USER: {"enable": 1, "expire": 0}} | data["users"]).items()):
        if not everybody and name != request.caller.name:
            continue
        if "enabled" in request.params and bool(about.get("enable")) != request.flag("enabled"):
            continue
        entry = about | {"userid": name, "realm-type": name.partition("@")[2]}
        if request.flag("full"):
            tokens = [{"tokenid": token} | about for token, about in _tokens(data, name).items()]
            entry |= {"groups": ""} | ({"tokens": tokens} if tokens else {})
        found.append(entry)
    return found


def _tokens(data: dict, user: str) -> dict[str, dict]:
    owned = {
        name.partition("!")[2]: name for name in sorted(data["tokens"]) if name.partition("!")[0] == user
    }
    return {token: accounts.info(data["tokens"][name]) for token, name in owned.items()}


@route("POST", "/access/users")
def user_create(request: Request):
    user = request.required("userid")
    request.check(f"/access/realm/{user.partition('@')[2]}", "Realm.AllocateUser")
    request.check("/access/groups", "User.Modify")
    request.fits(ABOUT_USER | {"userid": Prop(pattern=USER, required=True)})
    accounts.add_user(user, **_typed(request, ABOUT_USER))


@route("GET", "/access/users/{user}")
def user_read(request: Request):
    _check_known(request, "User.Modify", "Sys.Audit")
    data = access.read()
    return accounts.user(data, request.names["user"]) | {
        "groups": [],
        "tokens": _tokens(data, request.names["user"]),
    }


@route("PUT", "/access/users/{user}")
def user_update(request: Request):
    _check_known(request, "User.Modify")
    request.fits(ABOUT_USER)
    accounts.change_user(request.names["user"], _typed(request, ABOUT_USER))


@route("DELETE", "/access/users/{user}")
def user_delete(request: Request):
    request.check(f"/access/realm/{request.names['user'].partition('@')[2]}", "Realm.AllocateUser")
    _check_known(request, "User.Modify")
    accounts.remove_user(request.names["user"])


@route("GET", "/access/users/{user}/token")
def tokens(request: Request):
    _check_own(request, "User.Modify")
    data, user = access.read(), request.names["user"]
    accounts.user(data, user)
    return [{"tokenid": token} | about for token, about in _tokens(data, user).items()]


@route("GET", TOKEN)
def token_read(request: Request):
    _check_own(request, "User.Modify")
    return accounts.info(accounts.token(access.read(), request.names["user"], request.names["token"]))


@route("POST", TOKEN)
def token_create(request: Request):
    _check_own(request, "User.Modify")
    request.fits(ABOUT_TOKEN)
    given = {"privsep": 1, "expire": None} | _typed(request, ABOUT_TOKEN)
    return accounts.add_token(request.names["user"], request.names["token"], **given)


@route("PUT", TOKEN)
def token_update(request: Request):
    _check_own(request, "User.Modify")
    request.fits(ABOUT_TOKEN)
    return accounts.change_token(request.names["user"], request.names["token"], _typed(request, ABOUT_TOKEN))


@route("DELETE", TOKEN)
def token_delete(request: Request):
    _check_own(request, "User.Modify")
    request.fits({})
    accounts.remove_token(request.names["user"], request.names["token"])
