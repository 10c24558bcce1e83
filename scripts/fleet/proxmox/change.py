"""What a role asks one of our functions to do in Proxmox, and what that function did.

A function `run(change, arguments) -> Result` is a step of a role: the action `proxmox_api` calls it. It writes
nothing where `change.check` is true, and then answers what it would have done.
"""

import functools
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


def told(
    run: Callable[[Change, Mapping[str, Any]], Result],
) -> Callable[[Change, Mapping[str, Any]], Result]:
    """A step whose message is shown at once, since Ansible shows it only with -v."""

    @functools.wraps(run)
    def saying(change: Change, arguments: Mapping[str, Any]) -> Result:
        result = run(change, arguments)
        if result.message:
            change.say(result.message)
        return result

    return saying
