"""The HA manager: the machines that it looks after, groups (Proxmox VE 8) and rules (9)."""

import re

from lab.proxmox import ha
from lab.proxmox.errors import ApiError, invalid_keys
from lab.proxmox.routes import Request, route


def _shown(sid: str, service: dict) -> dict:
    shown = {
        "sid": sid,
        "type": {"vm": "vm", "ct": "ct"}[sid[:2]],
        "state": "started",
        "digest": "",
    } | service
    if ha.migrated():
        shown.pop("group", None)
    elif (group := shown.get("group")) and group not in ha.read("groups"):
        shown["errors"] = {"group": f"group '{group}' does not exist"}
    return shown


@route("GET", "/cluster/ha/resources")
def listed(request: Request):
    request.check("/", "Sys.Audit")
    return [_shown(sid, service) for sid, service in ha.read().items()]


@route("POST", "/cluster/ha/resources")
def add(request: Request):
    request.check("/", "Sys.Console")
    sid = request.required("sid")
    ha.add(sid, {key: value for key, value in request.params.items() if key not in ("sid", "type")})


@route("GET", "/cluster/ha/resources/{sid}")
def one(request: Request):
    request.check("/", "Sys.Audit")
    sid = ha.service(request.names["sid"])
    if sid not in ha.read():
        raise ApiError(f"no such resource '{sid}'")
    return _shown(sid, ha.read()[sid])


@route("PUT", "/cluster/ha/resources/{sid}")
def update(request: Request):
    request.check("/", "Sys.Console")
    options = {key: value for key, value in request.params.items() if key not in ("type", "digest")}
    ha.update(request.names["sid"], options, _deleted(options))


@route("DELETE", "/cluster/ha/resources/{sid}")
def remove(request: Request):
    request.check("/", "Sys.Console")
    ha.remove(request.names["sid"])


def _deleted(options: dict) -> list[str]:
    return [key for key in re.split(r"[,; ]+", str(options.pop("delete", ""))) if key]


def _past(kind: str, verb: str) -> None:
    """Refuse groups where they were migrated, and rules where they were not."""
    if kind == "groups" and ha.migrated():
        what = "index groups" if verb == "index" else f"{verb} group"
        raise ApiError(f"cannot {what}: ha groups have been migrated to rules")
    if kind == "rules" and not ha.migrated():
        raise ApiError(f"cannot {verb} ha rule: ha groups have not been migrated yet")


def _known(kind: str, name: str) -> dict:
    if name not in ha.read(kind):
        raise ApiError(f"no such ha {kind[:-1]} '{name}'")
    return ha.read(kind)[name]


def _listed(request: Request, kind: str) -> list[dict]:
    request.check("/", "Sys.Audit")
    if kind == "groups":
        _past(kind, "index")
    return [{kind[:-1]: name, "digest": "", **values} for name, values in ha.read(kind).items()]


def _one(request: Request, kind: str) -> dict:
    request.check("/", "Sys.Audit")
    if kind == "groups":
        _past(kind, "read")
    return {kind[:-1]: request.names["name"], "digest": "", **_known(kind, request.names["name"])}


def _create(request: Request, kind: str, *required: str) -> None:
    request.check("/", "Sys.Console")
    name = request.required(kind[:-1])
    missing = [key for key in required if key not in request.params]
    if missing:
        raise invalid_keys(dict.fromkeys(missing, "property is missing and it is not optional"))
    _past(kind, "create")
    options = {key: value for key, value in request.params.items() if key != kind[:-1]}
    options = ha.checked(
        kind, options if kind == "rules" else {k: v for k, v in options.items() if k != "type"}
    )
    if name in ha.read(kind):
        raise ApiError(
            f"create ha group failed: ha group ID '{name}' already defined"
            if kind == "groups"
            else f"create ha rule failed: HA rule '{name}' already defined"
        )
    if kind == "rules":
        _check_rule(options)
    ha.change(kind, name, options)


def _check_rule(options: dict) -> None:
    resources = str(options["resources"]).split(",")
    if unmanaged := [sid for sid in resources if sid not in ha.read()]:
        raise ApiError(f"create ha rule failed: cannot use unmanaged resource(s) {', '.join(unmanaged)}.")


def _update(request: Request, kind: str) -> None:
    request.check("/", "Sys.Console")
    _past(kind, "update")
    name, options = request.names["name"], dict(request.params)
    options.pop("digest", None)
    delete = _deleted(options)
    known = _known(kind, name)
    kept = {key: value for key, value in (known | ha.checked(kind, options)).items() if key not in delete}
    ha.change(kind, name, kept)


def _delete(request: Request, kind: str) -> None:
    request.check("/", "Sys.Console")
    _past(kind, "delete")
    name = request.names["name"]
    _known(kind, name)
    if kind == "groups":
        for sid, service in ha.read().items():
            if service.get("group") == name:
                raise ApiError(f"delete ha group failed: ha group is used by service '{sid}'")
    ha.change(kind, name, None)


@route("GET", "/cluster/ha/groups")
def groups(request: Request):
    return _listed(request, "groups")


@route("GET", "/cluster/ha/groups/{name}")
def group(request: Request):
    return _one(request, "groups")


@route("POST", "/cluster/ha/groups")
def group_create(request: Request):
    _create(request, "groups", "nodes")


@route("PUT", "/cluster/ha/groups/{name}")
def group_update(request: Request):
    _update(request, "groups")


@route("DELETE", "/cluster/ha/groups/{name}")
def group_delete(request: Request):
    _delete(request, "groups")


@route("GET", "/cluster/ha/rules")
def rules(request: Request):
    return _listed(request, "rules")


@route("GET", "/cluster/ha/rules/{name}")
def rule(request: Request):
    return _one(request, "rules")


@route("POST", "/cluster/ha/rules")
def rule_create(request: Request):
    _create(request, "rules", "type", "resources")


@route("PUT", "/cluster/ha/rules/{name}")
def rule_update(request: Request):
    _update(request, "rules")


@route("DELETE", "/cluster/ha/rules/{name}")
def rule_delete(request: Request):
    _delete(request, "rules")
