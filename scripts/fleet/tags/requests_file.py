"""The open requests, as extract_ansible_tag.py prints them, and what they approve."""

import argparse
import json
from pathlib import Path
from typing import Any, NamedTuple

from fleet.findings import Fault


class RequestsFile(NamedTuple):
    requests: list[dict[str, Any]]  # each with action, name, playbook, machine, commit, subject and changed
    head: str | None  # the commit up to which they were read
    since: str | None  # and that after which


class Approvals(NamedTuple):
    destroy: frozenset[str]  # machines that may be removed or recreated
    since: str | None = None
    adopt: frozenset[str] = (
        frozenset()
    )  # machines whose existing guests may be changed to what their files say
    drop: frozenset[tuple[str, str]] = frozenset()  # machine and slot of disks that may be detached


def load(path: Path) -> RequestsFile:
    """The open requests. Raises Fault (exit 2) for a file that does not hold them."""
    try:
        given = json.loads(path.read_text("utf-8"))
        requests = [one | {"action": one["action"], "name": one["name"]} for one in given["requests"]]
        return RequestsFile(requests, given.get("head"), given.get("since"))
    except OSError as error:
        raise Fault(f"cannot be read: {error.strerror}", path, code=2) from error
    except (ValueError, KeyError, TypeError) as error:
        raise Fault("is not what `extract_ansible_tag.py --format json` prints", path, code=2) from error


def add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--requests",
        type=Path,
        help="extract_ansible_tag.py's JSON; its [destroy NAME], [adopt NAME] and [drop-disk NAME SLOT] approve",
    )
    add(
        "--approve-destroy", metavar="NAME", action="append", default=[], help="as [destroy NAME] in a commit"
    )
    add("--approve-adopt", metavar="NAME", action="append", default=[], help="as [adopt NAME] in a commit")
    help_ = "as [drop-disk NAME SLOT] in a commit"
    add("--approve-drop-disk", metavar=("NAME", "SLOT"), nargs=2, action="append", default=[], help=help_)


def approvals(args: argparse.Namespace) -> Approvals:
    """What the open requests approve, and what was approved by hand. Raises Fault."""
    opened = load(args.requests) if args.requests else RequestsFile([], None, None)

    def approved(action: str, by_hand: list[str]) -> frozenset[str]:
        return frozenset([*(one for one in _named(opened, action) if "/" not in one), *by_hand])

    disks = [*map(str.split, _named(opened, "drop-disk")), *args.approve_drop_disk]
    return Approvals(
        approved("destroy", args.approve_destroy),
        opened.since,
        approved("adopt", args.approve_adopt),
        frozenset((name, slot) for name, slot in disks),
    )


def releases(file: Path | None, by_hand: list[str]) -> frozenset[str]:
    """WORKSPACE/RELEASE of each open `[destroy WORKSPACE/RELEASE]`, and what was approved by hand. Raises Fault."""
    opened = load(file) if file else RequestsFile([], None, None)
    return frozenset([*(one for one in _named(opened, "destroy") if "/" in one), *by_hand])


def _named(opened: RequestsFile, action: str) -> list[str]:
    return [one["name"] for one in opened.requests if one["action"] == action]
