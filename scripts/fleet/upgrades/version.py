"""Which version of the project a fleet's repository has: what it records, or what it looks most like."""

import json
import re
import tomllib
from pathlib import Path
from typing import NamedTuple

from fleet.findings import Fault, printable
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


class Record(NamedTuple):
    """The file RECORD of a fleet; each may be missing."""

    version: str = ""
    commit: str = ""
    upstream: str = ""


def read(repo: Path) -> Record:
    """What HEAD has. Raises Fault."""
    entry = listing(repo, "HEAD").get(RECORD)
    try:
        said = tomllib.loads(content(repo, entry)) if entry else {}
        if all(isinstance(value, str) for value in said.values()):
            return Record(**said)
    except (tomllib.TOMLDecodeError, TypeError):
        pass
    raise Fault("may have version, commit and upstream, each a text in quotes, and nothing else", RECORD)


def text(version: Version, commit: str, url: str) -> str:
    """The file after an upgrade."""
    lines = [f'version = "{version}"', f'commit = "{commit}"']
    if url:
        lines.append(f"upstream = {json.dumps(url)}")
    return "\n".join(
        ["# The version of the project that these files have; upgrade.py writes it.", *lines, ""]
    )


def find(repo: Path, given: str, recorded: Record, releases: dict[Version, str]) -> Base:
    """What was given, else what the fleet records, else the copied template, else the nearest. Raises Fault."""
    if given:
        version = parse(given)
        if version not in releases:
            raise Fault(f"the project has no release {given}; it has {known(releases)}", code=2)
        return Base(releases[version], str(version), "as --from says")
    if recorded.version:
        return _recorded(repo, recorded, releases)
    found = _shared(repo, releases) or _template(repo, releases)
    return found or _nearest(repo, listing(repo, "HEAD"), releases)


def known(releases: dict[Version, str]) -> str:
    names = [str(version) for version in releases]
    return ", ".join(names if len(names) <= 8 else [*names[:2], "…", *names[-5:]])


def _recorded(repo: Path, recorded: Record, releases: dict[Version, str]) -> Base:
    version = parse(recorded.version)
    if not version or version not in releases:
        said = f"has version {printable(recorded.version)!r}, which the project has not released"
        raise Fault(f"{said}; use --from VERSION", RECORD)
    commit = recorded.commit or releases[version]
    if not re.fullmatch(r"[0-9a-f]{40,64}", commit) or command.resolve(repo, commit) is None:
        said = f"has a commit that is not in the project's history any more, although {version} is"
        raise Fault(f"{said}; look at what changed there, then use --from {version}", RECORD)
    return Base(commit, str(version), f"as {RECORD} says")


def _shared(repo: Path, releases: dict[Version, str]) -> Base | None:
    """A clone, which shares the project's history until it left it."""
    status, said = command.tried(repo, "merge-base", "HEAD", list(releases.values())[-1])
    return (
        _named(repo, said.split()[0], releases, "where its history left the project's")
        if not status
        else None
    )


def _template(repo: Path, releases: dict[Version, str]) -> Base | None:
    """The first commit of a copied template has the very files of a commit of the project."""
    if command.git(repo, "rev-parse", "--is-shallow-repository") == "true":
        return None
    roots = run(repo, "log", "--format=%T", "--max-parents=0", "HEAD").split()
    lines = run(repo, "log", "--topo-order", "--format=%T %H", *releases.values()).splitlines()
    of_tree = dict(line.split() for line in reversed(lines))
    commit = next((of_tree[root] for root in roots if root in of_tree), None)
    return _named(repo, commit, releases, "as its first commit has these files") if commit else None


def _named(repo: Path, commit: str, releases: dict[Version, str], how: str) -> Base:
    at = next((version for version in releases if releases[version] == commit), None)
    if at:
        return Base(commit, str(at), how)
    later = next(version for version in releases if command.is_ancestor(repo, commit, releases[version]))
    return Base(commit, f"{commit[:12]}, before {later}", how)


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
