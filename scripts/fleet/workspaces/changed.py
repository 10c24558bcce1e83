"""Which workspaces two commits have in another way. Reads Git alone, neither checkout nor Terraform."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from fleet.findings import Fault, listed
from fleet.git.command import finish, git, resolve, start
from fleet.workspaces import hcl, maps
from fleet.workspaces.maps import Maps, Workspace
from fleet.workspaces.modules import Module, modules

_MODULE = re.compile(rf"{maps.FOLDER}/modules/([^/]+)/")
# Of these Terraform reads nothing: tests, documents, and the maps, which are compared themselves.
_UNREAD = re.compile(rf"{maps.FOLDER}/(tests/.*|[^/]*\.md|\.gitignore|{re.escape(maps.FILE)})")


class Changed(NamedTuple):
    workspace: str
    context: str
    reason: str


class Side(NamedTuple):
    """What a commit has; `rest` is what variables.tf holds besides the maps' defaults, without remarks."""

    maps: Maps
    modules: dict[str, Module]
    rest: str


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


def side(repo: Path, commit: str) -> Side | None:
    """What a commit's clusters/ says; None where it has no maps. Raises Fault."""
    listing = git(repo, "ls-tree", "--name-only", "-z", commit, f"{maps.FOLDER}/")
    names = [name for name in listing.split("\0") if name.endswith(".tf")]
    file = f"{maps.FOLDER}/{maps.FILE}"
    if file not in names:
        return None
    texts = _texts(repo, commit, names)
    return Side(maps.read(texts[file], file), modules(texts), _rest(texts[file], file))


def _texts(repo: Path, commit: str, names: list[str]) -> dict[str, str]:
    """The files as a commit has them, by one call."""
    asked = "".join(f"{commit}:{name}\n" for name in names).encode()
    with start(repo, "cat-file", "--batch") as process:
        answer = finish(process, "cat-file", asked)
    found = {}
    for name in names:
        head, _, answer = answer.partition(b"\n")
        size = int(head.split()[-1])
        try:
            found[name] = answer[:size].decode()
        except UnicodeDecodeError:
            raise Fault("is not valid UTF-8; save the file as UTF-8", name) from None
        answer = answer[size + 1 :]
    return found


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


def _rest(text: str, file: str) -> str:
    """variables.tf without the defaults of the three maps, remarks and layout."""
    taken = [
        block.attributes["default"]
        for block in hcl.read(text, file)[0]
        if block.kind == "variable" and block.labels and block.labels[0] in maps.NAMES
    ]
    return hcl.words(text, taken)
