"""Which commits a later one took back."""

import re
from pathlib import Path

from fleet.git.command import git
from fleet.tags.commits import Commit
from fleet.tags.squash import Reverted, reverted, without_number


def reverted_by(repo: Path, found: list[Commit]) -> dict[str, Commit]:
    """Each reverted commit to the one that reverts it. A revert that was reverted does not count."""
    alike: dict[str, list[str]] = {}  # ids by what git allows to shorten one to
    for commit in found:
        alike.setdefault(commit.id[:7], []).append(commit.id)
    taken_back: dict[str, Commit] = {}
    for place in range(len(found) - 1, -1, -1):
        commit = found[place]
        if commit.id in taken_back or "evert" not in commit.message:
            continue
        named = reverted(commit.message)
        targets = [other for part in named.ids for other in alike.get(part[:7], ()) if other.startswith(part)]
        if not named.ids:  # a forge's button names a pull request alone, or its title
            targets = (
                _merged(repo, named, found[:place], commit)
                or [
                    other.id
                    for other in found[:place]
                    if named.title and without_number(other.title) == named.title
                ][-1:]
            )
        for target in targets:
            taken_back.update(dict.fromkeys(_brought_in(repo, target) - {commit.id}, commit))
    return taken_back


def _merged(repo: Path, named: Reverted, earlier: list[Commit], revert: Commit) -> list[str]:
    """The commit that the pull request became: a squash, or a merge, whose message need not have a tag."""
    if not named.number:
        return []
    squash = re.compile(rf".* \([#!]{named.number}\)$")
    if squashes := [other.id for other in earlier if squash.match(other.title)]:
        return squashes[-1:]
    forms = (rf"^Merge pull request (#{named.number} from|'.*' \(#{named.number}\) from)",
             rf"^See merge request [^ ]*!{named.number}$")  # fmt: skip
    patterns = [option for form in forms for option in ("--grep", form)]
    merges = ("rev-list", "--merges", "--max-count=1", "--extended-regexp", *patterns, f"{revert.id}^")
    return git(repo, *merges, check=False).split()


def _brought_in(repo: Path, commit: str) -> set[str]:
    """What a commit added to its first parent's history: a merge its whole branch."""
    return {commit, *git(repo, "rev-list", commit, f"^{commit}^", check=False).split()}
