"""Whose each path of a repository is: the list in .github/paths.toml."""

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from fleet.findings import Fault
from fleet.paths import ROOT
from fleet.upgrades.scratch import Entry, content, listing

LIST = ".github/paths.toml"


class Paths(NamedTuple):
    project: tuple[str, ...]
    yours: tuple[str, ...]

    def is_yours(self, path: str) -> bool:
        return _among(path, self.yours)

    def is_listed(self, path: str) -> bool:
        return _among(path, self.project + self.yours)

    def without(self, project: Iterable[str], fleet: Iterable[str]) -> tuple[str, ...]:
        """The folders of the project's list that the project has and the fleet deleted as a whole."""
        has, lacks = tuple(project), tuple(fleet)
        folders = [name for name in self.project if name.endswith("/")]
        return tuple(
            folder
            for folder in folders
            if any(path.startswith(folder) for path in has)
            and not any(path.startswith(folder) for path in lacks)
        )


def parse(text: str) -> Paths:
    """The two lists of the file's text. Raises Fault."""
    try:
        said = tomllib.loads(text)
        lists = [said[name] for name in ("project", "yours")]
        if all(isinstance(names, list) and all(isinstance(name, str) for name in names) for names in lists):
            return Paths(*map(tuple, lists))
    except (tomllib.TOMLDecodeError, KeyError):
        pass
    raise Fault("must have two lists of paths, project and yours", LIST)


def of_version(repo: Path, commit: str) -> Paths:
    """The list of a version; of one that is older than the list, this checkout's."""
    entry = listing(repo, commit).get(LIST)
    return parse(content(repo, entry) if entry else (ROOT / LIST).read_text(encoding="utf-8"))


def of_fleet(repo: Path, head: str, old: str, new: str) -> Paths:
    """The list of the new version, and what the fleet itself added to its own."""
    has, had, lists = (of_version(repo, commit) for commit in (head, old, new))
    added = [name for name in has.yours if name not in had.yours]
    return lists._replace(yours=(*lists.yours, *added))


def of_project(entries: dict[str, Entry], paths: Paths) -> dict[str, Entry]:
    """The part of a release of the project that upgrades take."""
    return {path: entry for path, entry in entries.items() if not paths.is_yours(path)}


def _among(path: str, names: tuple[str, ...]) -> bool:
    return any(path == name or (name.endswith("/") and path.startswith(name)) for name in names)
