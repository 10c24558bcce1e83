"""Which workspaces two commits have in another way. Reads Git alone, neither checkout nor Terraform."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from fleet.findings import Fault, listed
from fleet.git.command import git, resolve
from fleet.workspaces import maps
from fleet.workspaces.commits import Side, side
from fleet.workspaces.maps import Maps, Workspace

_MODULE = re.compile(rf"{maps.FOLDER}/modules/([^/]+)/")
# Of these Terraform reads nothing: tests, documents, and the maps, which are compared themselves.
_UNREAD = re.compile(rf"{maps.FOLDER}/(tests/.*|[^/]*\.md|\.gitignore|{re.escape(maps.FILE)})")


class Changed(NamedTuple):
    workspace: str
    context: str
    reason: str


class Answer(NamedTuple):
    changed: list[Changed]
    removed: list[str]  # workspaces that left the maps
    moved: list[tuple[str, str, str]]  # (workspace, context before, context now)
    note: str = ""  # why all of them are meant


def between(repo: Path, base: str | None, head: str) -> Answer:
    """The workspaces that differ between two commits, by name; all of them where that cannot be told.

    `base` None asks for all. Raises Fault for a head that is not there or whose clusters/ cannot be read.
    """
    tip = resolve(repo, head)
    if not tip:
        raise Fault(f"{head} is not a commit of {repo}", code=2)
    new = side(repo, tip)
    if base is None:
        return _all(new, "asked for")
    root = resolve(repo, base)
    if not root:
        return _all(new, f"the base {base} is not in this clone")
    try:
        old = side(repo, root)
    except Fault as fault:
        return _all(new, f"the base cannot be read: {fault.finding.text()}")
    if old is None:
        return _all(new, "clusters/ is new")
    if new is None:
        return Answer([], removed(old.maps, Maps({}, {})), [])
    listing = git(repo, "diff", "--name-only", "--no-renames", "-z", root, tip, "--", maps.FOLDER)
    files = [name for name in listing.split("\0") if name]
    found = []
    for name, workspace in sorted(new.maps.workspaces.items()):
        if reasons := list(dict.fromkeys(_reasons(workspace, old, new, files))):
            found.append(Changed(name, workspace.context, listed(reasons, 5)))
    return Answer(found, removed(old.maps, new.maps), list(_moved(old.maps, new.maps)))


def removed(base: Maps, head: Maps) -> list[str]:
    """The workspaces that are no longer in the maps; their releases may still run."""
    return sorted(base.workspaces.keys() - head.workspaces.keys())


def _all(new: Side | None, reason: str) -> Answer:
    workspaces = new.maps.workspaces if new else {}
    found = [Changed(name, each.context, reason) for name, each in sorted(workspaces.items())]
    return Answer(found, [], [], f"all workspaces: {reason}" if found and reason != "asked for" else "")


def _moved(base: Maps, head: Maps) -> Iterator[tuple[str, str, str]]:
    for name in sorted(base.workspaces.keys() & head.workspaces.keys()):
        before, now = (each.workspaces[name].context for each in (base, head))
        if before != now:
            yield name, before, now


def _reasons(workspace: Workspace, old: Side, new: Side, files: list[str]) -> Iterator[str]:
    before = old.maps.workspaces.get(workspace.name)
    if before is None:
        yield "new"
        return
    for sign, names in (
        ("+", set(workspace.workloads) - set(before.workloads)),
        ("-", set(before.workloads) - set(workspace.workloads)),
    ):
        yield from (f"{sign}{name}" for name in sorted(names))
    keys = before.config.keys() | workspace.config.keys()
    yield from (key for key in sorted(keys) if before.config.get(key) != workspace.config.get(key))
    yield from _charts(workspace, old, new)
    if old.rest != new.rest:
        yield f"{maps.FOLDER}/{maps.FILE}"
    called = old.modules.keys() | new.modules.keys()
    for file in files:
        match = _MODULE.match(file)
        if match and match[1] in called:
            if match[1] in workspace.workloads:
                yield f"modules/{match[1]}"
        elif not _UNREAD.fullmatch(file):  # what every module may read
            yield file


def _charts(workspace: Workspace, old: Side, new: Side) -> Iterator[str]:
    """Charts of the workspace that are another version or come from elsewhere."""
    before, after = old.maps.charts, new.maps.charts
    differ = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    for workload in workspace.workloads:
        module = new.modules.get(workload)
        used = differ if module is None or module.charts is None else differ & module.charts
        for name in sorted(used):
            was, now = (each.get(name, {}).get("version", "none") for each in (before, after))
            yield f"{name} {was} to {now}" if was != now else f"{name} from elsewhere"
