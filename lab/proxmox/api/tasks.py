"""Tasks of a node: list, status, log, stop."""

import re

from lab.proxmox import guests, tasks
from lab.proxmox.errors import invalid
from lab.proxmox.routes import Request, route
from lab.proxmox.schema import Format, Prop

COUNT = Prop("integer", minimum=0)
LOG: Format = {"start": COUNT, "limit": COUNT}
LIST: Format = LOG | {
    "vmid": Prop(check=guests.check_vmid),
    "source": Prop(enum=("archive", "active", "all")),
    "errors": Prop("boolean"),
    **dict.fromkeys(("userfilter", "typefilter", "statusfilter"), Prop()),
    **dict.fromkeys(("since", "until"), Prop("integer")),
}


@route("GET", "/nodes/{node}/tasks")
def task_list(request: Request):
    """Ended tasks unless others are asked for, the newest first; whoever is no auditor sees his own."""
    request.fits(LIST)
    wanted, source = request.params, request.params.get("source", "archive")
    found = tasks.listed(request.node)
    if not request.may(f"/nodes/{request.node}", "Sys.Audit"):
        found = [task for task in found if _is_of(task["user"], task.get("tokenid"), request.caller.name)]
    states = {"ok", "warning", "error", "unknown"} - ({"ok"} if request.flag("errors") else set())
    if wanted.get("statusfilter") and not request.flag("errors"):
        states = set(re.split(r"[,; ]+", wanted["statusfilter"].lower()))
    found = [
        task for task in found
        if (source == "all" or (source == "active") == ("endtime" not in task))
        and wanted.get("userfilter", "").lower() in task["user"].lower()
        and wanted.get("typefilter", task["type"]) == task["type"]
        and str(wanted.get("vmid", task["id"])) == task["id"]
        and task["starttime"] >= int(wanted.get("since", 0))
        and task["starttime"] <= int(wanted.get("until", task["starttime"]))
        and _ending(task["status"]) in states
    ]  # fmt: skip
    return found[request.number("start", 0) :][: request.number("limit", 50)]


def _is_of(user: str, token: str | None, caller: str) -> bool:
    """A token sees its own tasks, a user those of his tokens as well."""
    return caller in (user, f"{user}!{token}") if token else caller == user


def _ending(status: str) -> str:
    """What kind of end a task has had; Proxmox counts one that runs among the failed."""
    if status == "OK":
        return "ok"
    return (
        "warning"
        if status.startswith("WARNINGS: ")
        else "unknown"
        if status == "unexpected status"
        else "error"
    )


def _task(request: Request, privilege: str) -> str:
    """The task that the path names, if it is the caller's own or he has the right to others'."""
    upid = request.names["upid"]
    user, _, token = tasks.parse(upid).user.partition("!")
    if not _is_of(user, token, request.caller.name):
        request.check(f"/nodes/{request.node}", privilege)
    return upid


@route("GET", "/nodes/{node}/tasks/{upid}/status")
def task_status(request: Request):
    return tasks.status(_task(request, "Sys.Audit"))


@route("GET", "/nodes/{node}/tasks/{upid}/log")
def task_log(request: Request):
    request.fits(LOG)
    lines = tasks.lines_of(_task(request, "Sys.Audit")) or ["no content"]
    first = request.number("start", 0)
    return [{"n": n, "t": t} for n, t in enumerate(lines, 1)][first:][: request.number("limit", 0) or 50]


@route("DELETE", "/nodes/{node}/tasks/{upid}")
def task_stop(request: Request):
    upid = request.names["upid"]
    tasks.parse(upid)
    if not tasks.log_path(upid).exists():
        raise invalid(upid="no such task")
    tasks.stop(_task(request, "Sys.Modify"))
