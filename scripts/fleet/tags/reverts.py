"""Which commits a later one took back."""

from pathlib import Path

from fleet.git.command import git
from fleet.tags.commits import Commit
from fleet.tags.squash import reverted


def reverted_by(repo: Path, found: list[Commit]) -> dict[str, Commit]:
    """Each reverted commit to the one that reverts it. A revert that was reverted does not count."""
    index: dict[str, Commit] = {}
    alike: dict[str, list[Commit]] = {}  # by what git allows to shorten an id to
    for commit in found:
        index[commit.id] = commit
        alike.setdefault(commit.id[:7], []).append(commit)
    taken_back: dict[str, Commit] = {}
    for place in range(len(found) - 1, -1, -1):
        commit = found[place]
        if commit.id in taken_back or "evert" not in commit.message:
            continue
        named = reverted(commit.message)
        targets = [
            other.id for part in named for other in alike.get(part[:7], ()) if other.id.startswith(part)
        ]
        if not named and commit.title.startswith('Revert "'):  # the forge's button gives no id
            title = commit.title.removeprefix('Revert "').rpartition('"')[0]
            targets = [other.id for other in found[:place] if other.title == title][-1:]
        for target in targets:
            taken_back.update(dict.fromkeys(_brought_in(repo, index[target]) - {commit.id}, commit))
    return taken_back


def _brought_in(repo: Path, commit: Commit) -> set[str]:
    """What a commit added to its first parent's history: a merge its whole branch."""
    if len(commit.parents) < 2:
        return {commit.id}
    return set(git(repo, "rev-list", commit.id, f"^{commit.parents[0]}").split())
