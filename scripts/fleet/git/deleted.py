"""What Git remembers of a file that is gone."""

from pathlib import Path
from typing import NamedTuple

from fleet.findings import Fault
from fleet.git import command as git


class Removed(NamedTuple):
    """A file's last committed text; `commit` removed it and is None when that is not committed yet."""

    text: str
    commit: str | None


def last_committed(path: Path) -> Removed | None:
    """Find a removed file's last text in the history of its repository, or None. Raises Fault without Git."""
    repo = _repository(path.parent)
    inside = str(path.resolve().relative_to(Path(repo.working_tree_dir).resolve()))
    head = _blob(repo.head.commit, inside) if repo.head.is_valid() else None
    if head is not None:
        return Removed(head, None)
    if not repo.head.is_valid():
        return None
    for commit in repo.iter_commits("HEAD", paths=inside, full_history=True, max_count=100):
        if _blob(commit, inside) is None:
            for parent in commit.parents:
                try:
                    text = _blob(parent, inside)
                except ValueError:  # the history is cut off here
                    continue
                if text is not None:
                    return Removed(text, commit.hexsha)
    return None


def is_since(directory: Path, commit: str | None, since: str | None) -> bool:
    """Whether a commit came after `since`; what is not committed, and all when `since` is unknown, did."""
    if commit is None or since is None:
        return True
    return not git.is_ancestor(directory, commit, since)


def _repository(directory: Path):
    from git import InvalidGitRepositoryError, NoSuchPathError, Repo

    try:
        return Repo(directory, search_parent_directories=True)
    except (InvalidGitRepositoryError, NoSuchPathError) as error:
        raise Fault(
            "is in no Git repository, so a removed file cannot be read back", directory, code=2
        ) from error


def _blob(commit, path: str) -> str | None:
    try:
        return commit.tree[path].data_stream.read().decode()
    except KeyError:
        return None
