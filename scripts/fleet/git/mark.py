"""A mark of the automation's on origin, as `refs/gitops/workspaces`: up to which commit something is done."""

from pathlib import Path

from fleet.findings import Fault
from fleet.git.command import git, is_ancestor, resolve
from fleet.git.push import push

# The branches too: what is marked may have been pushed after this clone was made.
REFS = ("+refs/gitops/*:refs/gitops/*", "+refs/heads/*:refs/remotes/origin/*")


def move(repo: str | Path, mark: str, commit: str, attempts: int = 8) -> bool:
    """Put the mark on a commit, unless it is there or further already; whether it was moved.

    Several may move it at the same time: the push is refused where the mark is no longer what was read, and is made
    again with what is there then. After a push that rewrote the branch the mark leads nowhere, and is moved.
    Raises Fault.
    """
    said = ""
    for _ in range(attempts):
        git(repo, "fetch", "--quiet", "--no-tags", "--prune", "origin", *REFS)
        target = resolve(repo, commit)
        if not target:
            raise Fault(f"{commit} is no commit that origin has", code=2)
        there = resolve(repo, mark) or ""
        if there and is_ancestor(repo, target, there):
            return False
        said = push(repo, f"--force-with-lease={mark}:{there}", f"{target}:{mark}")
        if not said:
            git(repo, "update-ref", mark, target)
            return True
    raise Fault(f"{mark} was not moved after {attempts} attempts, run it again: {said}", code=2)
