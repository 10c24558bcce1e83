"""What a build did, as a table for a person: the template, and the seconds of each stage."""

from collections.abc import Mapping
from typing import Any

from fleet.builds import create, plan
from fleet.console import table
from fleet.proxmox.change import Change, Result
from fleet.templates import verify


def run(change: Change, arguments: Mapping[str, Any]) -> Result:
    """`stages`: by name what each answered; `clones`: the machines of the last stage."""
    given = {key: value for key, value in arguments.items() if key not in ("stages", "clones")}
    planned = plan.taken(given)
    stages: Mapping[str, Mapping[str, Any]] = arguments.get("stages") or {}
    rows = [(name, _seconds(one), _words(one), _upid(one)) for name, one in stages.items() if one]
    text = table(("stage", "seconds", "what it did", "task"), rows)
    vmid = planned.ready or (stages.get("create-template") or {}).get("vmid")
    if vmid and not change.check:
        rows = [verify.row(change.api, create.guest_of(change, planned, vmid))]
        text = f"{table(verify.HEADS, rows)}\n\n{text}\n\n{_next(planned.spec.name)}"
    return Result(message=text)


def _seconds(answer: Mapping[str, Any]) -> str:
    return f"{float(answer['seconds']):.1f}" if "seconds" in answer else "-"


def _upid(answer: Mapping[str, Any]) -> str:
    return str(answer.get("upid") or "-")


def _words(answer: Mapping[str, Any]) -> str:
    return "skipped" if answer.get("skipped") else str(answer.get("msg") or "-").splitlines()[0]


def _next(name: str) -> str:
    return f"next: write `clone: {name}` in a file of proxmox/vms/, or `make template-list`"
