"""The three-way merge: a fleet's files, with what the project changed from one version to another."""

import re
from pathlib import Path
from typing import NamedTuple

from fleet.findings import Fault, Finding, printable
from fleet.git import command
from fleet.upgrades import paths
from fleet.upgrades.scratch import Entry, content, listing, run, store, write

# Each repository's release workflow writes this line, so the fleet's own version is no change of the project's.
_VERSION = re.compile(r'^version = "[^"\n]*"$', re.M)
_METADATA = "pyproject.toml"


class Conflict(NamedTuple):
    path: str
    stages: frozenset[int]  # who has the path: 1 the old version, 2 the fleet, 3 the new version
    markers: bool  # whether the file shows both texts

    def finding(self, version: str) -> Finding:
        if self.stages == {1, 2}:
            text = f"you changed it, {version} deletes it: delete it, or keep it as yours"
        elif self.markers and 1 not in self.stages:
            text = f"you have a file where {version} adds one: keep its file and move yours to another name"
        elif self.markers:
            text = f"you and {version} changed the same lines: choose, between <<<<<<< and >>>>>>>"
        elif self.stages >= {2, 3}:
            text = f"you and {version} changed it, and it is not text: keep yours, or take the project's"
        else:
            text = f"you and {version} moved or replaced it in different ways: decide which one stays"
        return Finding(text, printable(self.path))


class Merged(NamedTuple):
    entries: dict[str, Entry]
    conflicts: list[Conflict]
    gone: list[str]  # files and folders that the fleet deleted: what the project changed there is left out


def merge(repo: Path, scratch: Path, head: str, old: str, new: str) -> Merged:
    """Merge into `head` what the project changed from commit `old` to `new`. Raises Fault."""
    lists = paths.of_fleet(repo, head, old, new)
    ours = listing(repo, head)
    before, after = (paths.of_project(listing(repo, commit), lists) for commit in (old, new))
    folders = lists.without(before, ours)
    base, theirs = (
        _tree(repo, scratch, {p: e for p, e in entries.items() if not p.startswith(folders)}, ours)
        for entries in (before, after)
    )
    start = run(scratch, "commit-tree", base, "-m", "old").strip()
    # The names stand beside the markers. References in capitals belong to this worktree alone.
    for name, tree in (("YOURS", f"{head}^{{tree}}"), ("PROJECT", theirs)):
        made = run(scratch, "commit-tree", tree, "-p", start, "-m", name).strip()
        run(scratch, "update-ref", name, made)
    # A file of the fleet stays where it is when the project renames the folder around it.
    options = ("-c", "merge.directoryRenames=false", "-c", "merge.renames=true", "-c", "merge.renameLimit=0")
    with command.start(scratch, *options, "merge-tree", "--write-tree", "--no-messages", "-z", "YOURS",
                       "PROJECT") as process:  # fmt: skip
        out = command.finish(process, "merge-tree", check=False).decode(errors="surrogateescape")
    if process.returncode not in (0, 1):
        raise Fault("git cannot merge without a checkout; version 2.38 or newer is needed", code=2)
    tree, *lines = out.split("\0")
    # Git may take a file of the fleet's for a renamed one of the project's, and change it.
    merged = paths.of_project(listing(repo, tree), lists)
    merged |= {path: entry for path, entry in ours.items() if lists.is_yours(path)}
    found = _sorted(repo, merged, [line for line in lines if not lists.is_yours(line.partition("\t")[2])])
    return found._replace(gone=[*folders, *found.gone])


def _sorted(repo: Path, entries: dict[str, Entry], lines: list[str]) -> Merged:
    """What git says of the conflicts, without those that need nobody."""
    stages: dict[str, set[int]] = {}
    for line in filter(None, lines):
        about, _, path = line.partition("\t")
        stages.setdefault(path, set()).add(int(about.split()[2]))
    gone = sorted(path for path, has in stages.items() if has == {1, 3})
    kept = {path: entry for path, entry in entries.items() if path not in gone}
    conflicts = []
    for path in sorted(stages.keys() - gone):
        entry = kept.get(path)
        text = content(repo, entry) if entry and entry.mode.startswith("100") else ""
        marked = re.search(r"^<<<<<<< YOURS", text, re.M) is not None
        conflicts.append(Conflict(path, frozenset(stages[path]), marked))
    return Merged(kept, conflicts, gone)


def _tree(repo: Path, scratch: Path, entries: dict[str, Entry], ours: dict[str, Entry]) -> str:
    """A tree of the project's files in which pyproject.toml has the fleet's own version."""
    if _METADATA in entries and _METADATA in ours:
        own = _VERSION.search(content(repo, ours[_METADATA]))
        if own:
            text = _VERSION.sub(lambda _: own[0], content(repo, entries[_METADATA]), count=1)
            entries = entries | {_METADATA: store(repo, text, entries[_METADATA].mode)}
    return write(scratch, entries)
