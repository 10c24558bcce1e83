"""The branch of an upgrade: one commit on the fleet's head, replaced only while nobody has worked on it."""

import re
from pathlib import Path

from fleet.findings import Fault
from fleet.git import command
from fleet.upgrades.scratch import run

PREFIX = "upgrade/"
_TREE = re.compile(r"^Upgrade-Tree: ([0-9a-f]+)$", re.M)


def commit(scratch: Path, tree: str, head: str, subject: str, body: str) -> str:
    """A commit that says which files it was made with."""
    message = f"{subject}\n\n{body}\n\nUpgrade-Tree: {tree}\n"
    return run(scratch, "commit-tree", tree, "-p", head, "-F", "-", stdin=message).strip()


def is_untouched(repo: Path, made: str) -> bool:
    """Whether a branch's head is a commit of an upgrade, as it was made."""
    found = _TREE.search(command.git(repo, "log", "-1", "--format=%B", made))
    return bool(found) and command.git(repo, "rev-parse", f"{made}^{{tree}}") == found[1]


def is_same(repo: Path, one: str, other: str) -> bool:
    """Whether two commits have the same files on the same head."""
    return len({command.git(repo, "rev-parse", f"{each}^{{tree}}", f"{each}^") for each in (one, other)}) == 1


def put(repo: Path, name: str, made: str) -> bool:
    """Let the branch be this commit; False when it is already. Raises Fault where that would lose work."""
    reference = f"refs/heads/{name}"
    there = command.resolve(repo, reference) or ""
    if there and is_same(repo, there, made):
        return False
    if there and not is_untouched(repo, there):
        raise Fault(f"the branch {name} has commits of yours; merge it, or delete it: git branch -D {name}")
    used = f"branch {reference}\n" in run(repo, "worktree", "list", "--porcelain") + "\n"
    if there and used:
        raise Fault(f"the branch {name} is checked out; switch to another one first")
    run(repo, "update-ref", reference, made, there)  # "": there must be none
    return True
