"""What a role asks one of our functions to do in Proxmox, and what that function did.

A function `run(change, arguments) -> Result` is a step of a role: the action `proxmox_step` calls it. It writes
nothing where `change.check` is true, and then answers what it would have done.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from fleet.proxmox.client import Client


class Change(NamedTuple):
    """`say` shows a line at once, while the step works."""

    api: Client
    check: bool
    say: Callable[[str], None]


class Result(NamedTuple):
    """`before` and `after` are what `--diff` compares; `facts` is for the tasks that follow."""

    changed: bool = False
    message: str = ""
    before: Mapping[str, Any] = {}
    after: Mapping[str, Any] = {}
    facts: Mapping[str, Any] = {}
