"""What Git remembers of a file that is gone."""

from pathlib import Path
from typing import NamedTuple

from fleet.findings import Fault
from fleet.git import command as git

NEWEST = 100  # commits that touched the file; further back nothing is looked for


class Removed(NamedTuple):
    """A file's last committed text; `commit` removed it and is None when that is not committed yet."""

    text: str
    commit: str | None


def last_committed(path: Path) -> Removed | None:
    """Find a removed file's last text in the history of its repository, or None. Raises Fault without Git."""
    directory = path.parent
    root = git.git(directory, "rev-parse", "--show-toplevel", check=False)
    if not root:
        raise Fault("is in no Git repository, so a removed file cannot be read back", directory, code=2)
    inside = path.resolve().relative_to(Path(root).resolve()).as_posix()
    if not git.resolve(directory, "HEAD"):
        return None
    if (text := _text(directory, "HEAD", inside)) is not None:
        return Removed(text, None)
    # Commits without the file of which a parent has it; a merge may be the one that removed it.
    options = ("--full-history", f"--max-count={NEWEST}", "HEAD", "--", f":(top,literal){inside}")
    for commit in git.git(directory, "rev-list", *options).splitlines():
        if _text(directory, commit, inside) is not None:
            continue
        for parent in git.git(directory, "rev-list", "-1", "--parents", commit).split()[1:]:
            if (text := _text(directory, parent, inside)) is not None:
                return Removed(text, commit)
    return None


def is_since(directory: Path, commit: str | None, since: str | None) -> bool:
    """Whether a commit came after `since`; what is not committed, and all when `since` is unknown, did."""
    if commit is None or since is None:
        return True
    return not git.is_ancestor(directory, commit, since)


def _text(repo: Path, commit: str, path: str) -> str | None:
    """The file as it is in a commit; None where it is not, or where a shallow history is cut off."""
    with git.start(repo, "cat-file", "blob", f"{commit}:{path}") as process:
        out = git.finish(process, "cat-file", check=False)
    return out.decode() if process.returncode == 0 else None
