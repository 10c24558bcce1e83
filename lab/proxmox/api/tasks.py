"""Tasks of a node: list, status, log, stop."""

from lab.proxmox import tasks
from lab.proxmox.routes import Request, route


@route("GET", "/nodes/{node}/tasks")
def task_list(request: Request):
    found, wanted = tasks.listed(request.node), request.params.get("vmid")
    if not request.may(f"/nodes/{request.node}", "Sys.Audit"):
        found = [task for task in found if task["user"] == request.caller.user]
    found = [task for task in found if wanted is None or task["id"] == str(wanted)]
    return found[request.number("start", 0) :][: request.number("limit", 50)]


def _own_task(request: Request) -> str:
    upid = request.names["upid"]
    if tasks.parse(upid).user.partition("!")[0] != request.caller.user:
        request.check(f"/nodes/{request.node}", "Sys.Audit")
    return upid


@route("GET", "/nodes/{node}/tasks/{upid}/status")
def task_status(request: Request):
    return tasks.status(_own_task(request))


@route("GET", "/nodes/{node}/tasks/{upid}/log")
def task_log(request: Request):
    lines = tasks.lines_of(_own_task(request)) or ["no content"]
    first = request.number("start", 0)
    return [{"n": n, "t": t} for n, t in enumerate(lines, 1)][first:][: request.number("limit", 50)]


@route("DELETE", "/nodes/{node}/tasks/{upid}")
def task_stop(request: Request):
    tasks.stop(_own_task(request))
