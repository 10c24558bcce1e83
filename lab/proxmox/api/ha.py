"""The services of the HA manager: which machines it looks after."""

from lab.proxmox import ha
from lab.proxmox.errors import ApiError, invalid_keys
from lab.proxmox.routes import Request, route
from lab.proxmox.schema import UNKNOWN


def _shown(sid: str, service: dict) -> dict:
    return {"sid": sid, "type": "vm"} | service


@route("GET", "/cluster/ha/resources")
def listed(request: Request):
    request.check("/", "Sys.Audit")
    return [_shown(sid, service) for sid, service in ha.read().items()]


@route("POST", "/cluster/ha/resources")
def add(request: Request):
    request.check("/", "Sys.Console")
    sid = request.required("sid")
    options = {key: value for key, value in request.params.items() if key != "sid"}
    if unknown := options.keys() - ha.OPTIONS:
        raise invalid_keys(dict.fromkeys(unknown, UNKNOWN))
    ha.add(sid, options)


@route("GET", "/cluster/ha/resources/{sid}")
def one(request: Request):
    request.check("/", "Sys.Audit")
    sid = ha.service(request.names["sid"])
    if sid not in ha.read():
        raise ApiError(f"no such resource '{sid}'")
    return _shown(sid, ha.read()[sid])


@route("DELETE", "/cluster/ha/resources/{sid}")
def remove(request: Request):
    request.check("/", "Sys.Console")
    ha.remove(request.names["sid"])
