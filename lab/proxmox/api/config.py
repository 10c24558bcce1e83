"""A machine's configuration: what runs, what waits for the next start, and its cloud-init drive."""

import re

from lab.proxmox import access, checks, cloudinit, guests, tasks
from lab.proxmox.errors import ApiError, invalid
from lab.proxmox.jobs import configs
from lab.proxmox.routes import VM, Request, route
from lab.proxmox.schema import Prop


@route("GET", f"{VM}/config")
def get_config(request: Request):
    guest = request.audited()
    request.fits({"current": Prop("boolean"), "snapshot": Prop()})
    shown = guest.config if request.flag("current") else guest.effective()
    return _masked(shown) | {"digest": guest.digest()}


def _masked(options: dict) -> dict:
    """Options as the API shows them: a password is told by no request."""
    return options | ({"cipassword": "**********"} if "cipassword" in options else {})


@route("GET", f"{VM}/pending")
def get_pending(request: Request):
    guest = request.audited()
    request.fits({})
    result = []
    now, then = _masked(guest.config), _masked(guest.pending)
    for key in sorted(now.keys() | then.keys()):
        item = {"key": key}
        if key in now:
            item["value"] = now[key]
        if key in then:
            item["pending"] = then[key]
        if key in guest.pending_delete:
            item["delete"] = 1
        result.append(item)
    return result


def _checked(request: Request) -> dict:
    """What to change, in the terms of configs.change."""
    params = dict(request.params)
    delete = [key for key in re.split(r"[,; ]+", str(params.pop("delete", ""))) if key]
    revert = [key for key in re.split(r"[,; ]+", str(params.pop("revert", ""))) if key]
    digest, skiplock = params.pop("digest", None), params.pop("skiplock", None)
    for name in ("force", "background_delay"):
        params.pop(name, None)
    if skiplock and request.caller.name != access.ROOT_USER:
        raise invalid(skiplock="Only root may use this option.")
    if not params and not delete and not revert:
        raise ApiError("no options specified")
    delete = ["ide2" if key == "cdrom" else key for key in delete]
    guest = guests.load(request.node, request.vmid)
    options = checks.check(guest, params, delete, request.caller)
    configs.checked(request.node, request.vmid, digest, bool(skiplock))
    return {
        "node": request.node, "vmid": request.vmid, "options": options, "delete": delete, "revert": revert,
        "digest": digest, "skiplock": bool(skiplock),
    }  # fmt: skip


@route("PUT", f"{VM}/config")
def put_config(request: Request):
    configs.change(**_checked(request))


@route("POST", f"{VM}/config")
def post_config(request: Request):
    change, delay = _checked(request), request.number("background_delay")
    upid = tasks.start(
        request.node, "qmconfig", request.vmid, request.caller.name, "change", step="qmconfig", **change
    )
    return tasks.waited(upid, delay) if delay else upid


@route("GET", f"{VM}/cloudinit")
def cloudinit_pending(request: Request):
    guest = request.audited()
    keys = [k for k in guest.config if re.fullmatch(r"ci\w+|ipconfig\d+|nameserver|searchdomain|sshkeys", k)]
    return [{"key": key, "value": _masked(guest.config)[key]} for key in sorted(keys)]


@route("PUT", f"{VM}/cloudinit")
def cloudinit_regenerate(request: Request):
    """Nothing to write, since each start makes the drive again; but what it is made from must be there."""
    request.check(f"/vms/{request.vmid}", "VM.Config.Cloudinit")
    guest = guests.load(request.node, request.vmid)
    guest.check_lock()
    cloudinit.seed(guest.config, guest.vmid, guest.node)


@route("GET", f"{VM}/cloudinit/dump")
def cloudinit_dump(request: Request):
    guest = request.audited()
    kind = {"user": "user-data", "network": "network-config", "meta": "meta-data"}[request.required("type")]
    return cloudinit.seed(guest.config, guest.vmid, guest.node)[kind]
