"""Waiting for a task of Proxmox: most changes are only begun when the API answers, with the task's UPID.

More than 150 lines because a task and the guest that it holds are waited for by the same rules.
"""

import contextlib
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple
from urllib.parse import quote

from fleet.console import note
from fleet.findings import Fault, cut, printable
from fleet.proxmox.client import Client, Guest
from fleet.proxmox.errors import Refused, Unanswered

NO_LOG = "no content"  # Proxmox's word for an empty log
_BUSY = ("clone", "create", "migrate", "disk")  # locks that a task holds and gives back


class Task(NamedTuple):
    """What a UPID says: `UPID:node:pid:pstart:starttime:type:id:user:`."""

    upid: str
    node: str
    kind: str  # "qmclone", "qmreboot", "imgcopy", "download"
    subject: str  # the VMID, or empty

    @property
    def path(self) -> str:
        return f"nodes/{quote(self.node, safe='')}/tasks/{quote(self.upid, safe='')}"

    def __str__(self) -> str:
        return f"Proxmox's task {self.kind}{f' of {self.subject}' if self.subject else ''} on {self.node}"


class Failed(Fault):
    """The task ended with an error; `exitstatus` is what Proxmox says of it, `log` the end of its log."""

    def __init__(self, task: Task, exitstatus: str, log: Sequence[str] = ()):
        more = [cut(line) for line in log if exitstatus not in line and "%" not in line]
        ending = f"; its log says: {' / '.join(more)}" if more else ""
        super().__init__(f"{task} failed: {exitstatus}{ending}", code=2)
        self.task, self.exitstatus, self.log = task, exitstatus, log


def is_upid(answer: object) -> bool:
    """Whether an answer names a task that goes on after it."""
    return isinstance(answer, str) and answer.startswith("UPID:") and answer.count(":") >= 8


def parse(upid: str) -> Task:
    """Raises Fault for what is not a UPID."""
    if not is_upid(upid):
        raise Fault(f"{printable(str(upid))[:100]!r} is not the UPID of a task", code=2)
    _, node, _, _, _, kind, subject, *_ = upid.split(":")
    return Task(upid, *map(printable, (node, kind, subject)))


def wait(
    client: Client,
    upid: str,
    timeout: float = 600,
    progress: Callable[[str], None] | None = None,
    pause: float = 1,
    say: Callable[[str], None] = note,
) -> str:
    """Wait for the task to end; its exit status, which is `OK` or `WARNINGS: number`, and then `say` the warnings.

    Raises Failed when the task failed, Fault when it still runs after `timeout` seconds. A question without an answer
    is asked again: the node may be busy, and the task goes on. `progress` gets each new line of the log. The pauses
    between two questions grow to `pause` seconds.
    """
    task = parse(upid)
    end = time.monotonic() + timeout
    shown, now = 0, pause / 16
    while True:
        problem = ""
        try:
            status = client.get(f"{task.path}/status")
            ended = status.get("status") == "stopped"
            if progress:
                shown += _show(client, task, shown, progress, ended)
            if ended:
                break
        except Refused as error:
            if error.status in (400, 401, 403, 404):
                raise
            problem = f"; {error}"
        except Unanswered as error:
            problem = f"; {error}"
        if time.monotonic() >= end:
            raise Fault(f"{task} did not end within {timeout:g} s; see its log in Proxmox{problem}", code=2)
        time.sleep(min(now, max(0, end - time.monotonic())))
        now = min(pause, now * 1.4)
    exitstatus = printable(str(status.get("exitstatus") or "no exit status"))
    if exitstatus == "OK":
        return exitstatus
    lines = _log(client, task)
    if not exitstatus.startswith("WARNINGS"):
        raise Failed(task, exitstatus, lines[-5:])
    warnings = [line for line in lines if line.startswith("WARN")]
    say(f"{task} ended with warnings: {' / '.join(warnings) or 'see its log in Proxmox'}")
    return exitstatus


def _log(client: Client, task: Task) -> list[str]:
    """A task's log; that Proxmox does not tell it is no news beside how the task ended."""
    with contextlib.suppress(Fault):
        return [
            printable(line["t"])
            for line in client.get(f"{task.path}/log", start=0, limit=10_000)
            if line["t"] != NO_LOG
        ]
    return []


def _show(client: Client, task: Task, start: int, progress: Callable[[str], None], ended: bool) -> int:
    """Hand over the log from line `start` on; the number of lines. The last line of a task that runs may grow."""
    lines = [line for line in client.get(f"{task.path}/log", start=start, limit=500) if line["n"] > start]
    if [line["t"] for line in lines] == [NO_LOG]:
        return 0
    whole = lines if ended else lines[:-1]
    for line in whole:
        progress(printable(line["t"]))
    return len(whole)


def is_at_work(client: Client, guest: Guest, user: str = "") -> bool:
    """Whether a task works on a guest, with `user` one that this user began."""
    active = client.if_told(f"nodes/{guest.node}/tasks", source="active", vmid=guest.vmid) or []
    begun_by = [one["upid"].rstrip(":").rpartition(":")[2] for one in active if not one.get("endtime")]
    return user in begun_by if user else bool(begun_by)


def when_unlocked(
    client: Client,
    guest: Guest,
    name: str,
    timeout: float = 600,
    sleep: Callable[[float], None] = time.sleep,
    say: Callable[[str], None] = note,
) -> None:
    """Wait until the task of an interrupted run, which goes on in Proxmox, gives a guest free.

    Raises Fault after `timeout` seconds, and at once where no task runs that could.
    """
    until = time.monotonic() + timeout
    waiting, place = False, f"{name} (VMID {guest.vmid} on {guest.node})"
    while (lock := client.config(guest.node, guest.vmid).get("lock")) in _BUSY:
        if time.monotonic() > until:
            text = f"{place} is still locked ({lock}) after {timeout:.0f} s; see its tasks in Proxmox"
            raise Fault(text, code=2)
        if not client.is_working(guest.node) and lock == client.config(guest.node, guest.vmid).get("lock"):
            way_out = f"`qm unlock {guest.vmid}` and `qm destroy {guest.vmid}`, then run this again"
            text = f"{place} is locked ({lock}), but no task runs there: its {lock} was cut off; {way_out}"
            raise Fault(text, code=2)
        if not waiting:
            say(
                f"waiting for {name} (VMID {guest.vmid}): the {lock} of an interrupted run is still in progress"
            )
            waiting = True
        sleep(2)
