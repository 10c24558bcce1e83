"""Tickets, tokens, users, roles and access lists."""

from lab.proxmox import access, accounts, login
from lab.proxmox.routes import Request, route
from lab.proxmox.schema import Prop


@route("POST", "/access/ticket")
def ticket(request: Request):
    user = request.required("username")
    realm = request.params.get("realm")
    return login.login(f"{user}@{realm}" if realm and "@" not in user else user, request.required("password"))


@route("GET", "/access/permissions")
def permissions(request: Request):
    request.fits({"path": Prop(pattern=r"/.*"), "userid": Prop(pattern=r"[^\s:/]+@[^\s:/!]+(![^\s:/!]+)?")})
    name, path = request.params.get("userid", request.caller.name), request.params.get("path")
    if request.caller.name not in (name, name.partition("!")[0]):
        request.check("/access", "Sys.Audit")
    return {path: access.privileges(name, path)} if path else access.effective(name)


@route("GET", "/access/roles")
def roles(_request: Request):
    known = access.ROLES | access.read()["roles"]
    return [
        {"roleid": name, "privs": ",".join(privs), "special": int(name in access.ROLES)}
        for name, privs in known.items()
    ]


@route("GET", "/access/acl")
def acl(request: Request):
    request.check("/access", "Permissions.Modify", "Sys.Audit")
    return access.read()["acl"]


@route("PUT", "/access/acl")
def acl_change(request: Request):
    path = request.required("path")
    request.check(path, "Permissions.Modify")
    accounts.grant(
        path, request.required("roles").split(","), request.params.get("users"), request.params.get("tokens"),
        propagate=request.flag("propagate", True), remove=request.flag("delete"),
    )  # fmt: skip


@route("POST", "/access/roles")
def role_create(request: Request):
    request.check("/access", "Sys.Modify")
    accounts.add_role(request.required("roleid"), request.params.get("privs", ""))


@route("POST", "/access/users")
def user_create(request: Request):
    request.check("/access", "User.Modify")
    accounts.add_user(request.required("userid"))


@route("POST", "/access/users/{user}/token/{token}")
def token_create(request: Request):
    user, token = request.names["user"], request.names["token"]
    if user != request.caller.user:
        request.check(f"/access/users/{user}", "User.Modify")
    return accounts.add_token(user, token, request.flag("privsep", True), request.number("expire", 0))
