"""A branch of the automation's own, beside the default branch: one commit on its head, replaced each time."""

from pathlib import Path

from fleet.findings import Fault
from fleet.git.command import git, tried
from fleet.git.push import push


def propose(repo: Path, branch: str, file: Path, message: str) -> bool:
    """Push what the checkout has in one file, as a commit on its HEAD, to `branch`; False when HEAD has it already.

    The checkout stays as it is. Whatever else was on the branch is replaced, but a branch that has this file and
    was made from the same HEAD is left alone. Raises Fault.
    """
    root = Path(git(repo, "rev-parse", "--show-toplevel"))
    name = str(file.resolve().relative_to(root.resolve()))
    blob = git(root, "hash-object", "-w", "--", name)
    base = git(root, "rev-parse", "HEAD")
    if tried(root, "rev-parse", "--verify", "--quiet", f"HEAD:{name}")[1].strip() == blob:
        return False
    status, _ = tried(root, "fetch", "--quiet", "--no-tags", "origin", f"refs/heads/{branch}")
    if (
        status == 0
        and git(root, "rev-parse", f"FETCH_HEAD:{name}", "FETCH_HEAD^", check=False) == f"{blob}\n{base}"
    ):
        return True
    git(root, "add", "--", name)
    try:
        tree = git(root, "write-tree")
    finally:
        git(root, "reset", "--quiet", "--", name)
    commit = git(root, "commit-tree", tree, "-p", base, "-F", "-", stdin=message)
    if said := push(root, "--force", f"{commit}:refs/heads/{branch}"):
        raise Fault(f"{branch} could not be pushed, run it again; git said: {said}", code=2)
    return True
