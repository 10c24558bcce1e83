"""What Git remembers of a file that is gone."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from fleet.findings import Fault
from fleet.git import command as git

NEWEST = 100  # commits that touched the file; further back nothing is looked for


class Removed(NamedTuple):
    """One committed version of a file, as bytes; `commit` removed the file, None: that is not committed yet."""

    content: bytes
    commit: str | None


def versions(path: Path) -> Iterator[Removed]:
    """A removed file's committed versions, the newest first, each once. Raises Fault without Git."""
    directory = path.parent
    root = git.git(directory, "rev-parse", "--show-toplevel", check=False)
    if not root:
        raise Fault("is in no Git repository, so a removed file cannot be read back", directory, code=2)
    inside = path.resolve().relative_to(Path(root).resolve()).as_posix()
    if not git.resolve(directory, "HEAD"):
        return
    removal: str | None = None
    seen: set[bytes] = set()
    # In the order of the graph: the date of a commit is what its author writes there.
    options = (
        "--full-history",
        "--topo-order",
        f"--max-count={NEWEST}",
        "HEAD",
        "--",
        f":(top,literal){inside}",
    )
    at_head = _content(directory, "HEAD", inside)
    if at_head is not None:
        seen.add(at_head)
        yield Removed(at_head, None)
    for commit in git.git(directory, "rev-list", *options).splitlines():
        found = [_content(directory, commit, inside)]
        if found == [None]:
            # A commit without the file of which a parent has it removed it; that may be a merge.
            parents = git.git(directory, "rev-list", "-1", "--parents", commit).split()[1:]
            found = [_content(directory, parent, inside) for parent in parents]
            if at_head is None and removal is None and any(content is not None for content in found):
                removal = commit
        for content in found:
            if content is not None and content not in seen:
                seen.add(content)
                yield Removed(content, removal)


def is_since(directory: Path, commit: str | None, since: str | None) -> bool:
    """Whether a commit came after `since`; what is not committed, and all when `since` is unknown, did."""
    if commit is None or since is None:
        return True
    return not git.is_ancestor(directory, commit, since)


def _content(repo: Path, commit: str, path: str) -> bytes | None:
    """The file as it is in a commit; None where it is not, or where a shallow history is cut off."""
    with git.start(repo, "cat-file", "blob", f"{commit}:{path}") as process:
        out = git.finish(process, "cat-file", check=False)
    return out if process.returncode == 0 else None
