"""Which version of the project a fleet's repository has: what it records, or what it looks most like."""

import re
from pathlib import Path
from typing import NamedTuple

from fleet.findings import Fault
from fleet.git import command
from fleet.upgrades import paths
from fleet.upgrades.scratch import Entry, content, listing, run
from fleet.upgrades.upstream import Version, parse

RECORD = ".gitops-version"


class Base(NamedTuple):
    """The commit of the project that the fleet's files come from."""

    commit: str
    name: str
    how: str  # known, for a person


def record(version: Version, commit: str) -> str:
    return f"{version} {commit}\n"


def find(repo: Path, given: str, releases: dict[Version, str]) -> Base:
    """What was given, else what the fleet records, else the copied template, else the nearest. Raises Fault."""
    if given:
        version = parse(given)
        if version not in releases:
            raise Fault(f"the project has no release {given}; it has {known(releases)}", code=2)
        return Base(releases[version], str(version), "as --from says")
    ours = listing(repo, "HEAD")
    if entry := ours.get(RECORD):
        return _recorded(repo, content(repo, entry), releases)
    return _template(repo, releases) or _nearest(repo, ours, releases)


def known(releases: dict[Version, str]) -> str:
    names = [str(version) for version in releases]
    return ", ".join(names if len(names) <= 8 else [*names[:2], "…", *names[-5:]])


def _recorded(repo: Path, text: str, releases: dict[Version, str]) -> Base:
    found = re.fullmatch(r"(v\S+) ([0-9a-f]{40,64})\n?", text)
    version = parse(found[1]) if found else None
    if not found or not version:
        raise Fault(
            "must be one line, VERSION COMMIT, as upgrades write it; or use --from VERSION", RECORD, 1
        )
    if version not in releases:
        raise Fault(f"names {version}, which the project has not released; use --from VERSION", RECORD, 1)
    if command.resolve(repo, found[2]) is None:
        said = f"names {found[2][:12]}, but {version} of the project is another commit now"
        raise Fault(f"{said}; look at what changed, then use --from {version}", RECORD, 1)
    return Base(found[2], str(version), f"as {RECORD} says")


def _template(repo: Path, releases: dict[Version, str]) -> Base | None:
    """The first commit of a copied template has the very files of a commit of the project."""
    if command.git(repo, "rev-parse", "--is-shallow-repository") == "true":
        return None
    roots = run(repo, "log", "--format=%T", "--max-parents=0", "HEAD").split()
    lines = run(repo, "log", "--topo-order", "--format=%T %H", *releases.values()).splitlines()
    of_tree = dict(line.split() for line in reversed(lines))
    commit = next((of_tree[root] for root in roots if root in of_tree), None)
    if not commit:
        return None
    at = next((version for version in releases if releases[version] == commit), None)
    if at:
        return Base(commit, str(at), "as its first commit has the files of that release")
    later = next(version for version in releases if command.is_ancestor(repo, commit, releases[version]))
    return Base(commit, f"before {later}", f"as its first commit is a copy of {commit[:12]}")


def _nearest(repo: Path, ours: dict[str, Entry], releases: dict[Version, str]) -> Base:
    """The release whose files differ least from the fleet's, over the paths that any release has."""
    trees = {version: listing(repo, commit) for version, commit in releases.items()}
    lists = paths.of_version(repo, list(releases.values())[-1])
    every = {path for tree in trees.values() for path in paths.of_project(tree, lists)}
    away = {
        version: sum(tree.get(path) != ours.get(path) for path in every) for version, tree in trees.items()
    }
    best = min(away, key=lambda version: (away[version], [-part for part in version]))
    theirs = paths.of_project(trees[best], lists)
    same = sum(ours.get(path) == entry for path, entry in theirs.items())
    if same * 2 < len(theirs):
        said = f"the nearest release, {best}, has {same} of {len(theirs)} files in common with it"
        raise Fault(f"this is not a copy of the project, or a much changed one: {said}; use --from VERSION")
    return Base(releases[best], str(best), f"the nearest: {away[best]} files differ; else use --from")
