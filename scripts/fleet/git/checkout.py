"""A checkout at the head of origin's default branch; nothing of a person's is lost on the way."""

import os
import re
from pathlib import Path

from fleet.findings import Fault, listed
from fleet.git.command import git, is_ancestor, resolve
from fleet.paths import ROOT


def default_branch(repo: str | Path) -> str:
    """The branch that origin's HEAD points to; the workflows' jobs run on that one only, and need not ask."""
    kind, _, branch = os.environ.get("GITHUB_REF", "").partition("refs/heads/")
    if os.environ.get("GITHUB_ACTIONS") == "true" and not kind and branch:
        return branch  # a Git tag of that name is none
    answer = git(repo, "ls-remote", "--symref", "origin", "HEAD")
    found = re.match(r"ref: refs/heads/(\S+)\tHEAD", answer)
    if not found:
        raise Fault("origin has no default branch; is the repository empty?", code=2)
    return found.group(1)


def bring_to_head(repo: str | Path = ROOT, branch: str | None = None) -> str:
    """Fetch, and put the checkout on the head of origin's default branch; returns the head's id.

    Outside a workflow it refuses to throw a person's work away: uncommitted changes of tracked files, or
    commits that origin does not have, are a Fault. Untracked files stay in either case.
    """
    branch = branch or default_branch(repo)
    head = f"refs/remotes/origin/{branch}"
    deepen = ["--unshallow"] if git(repo, "rev-parse", "--is-shallow-repository") == "true" else []
    refspecs = [f"+refs/heads/{branch}:{head}", "+refs/gitops/*:refs/gitops/*"]
    git(repo, "fetch", "--quiet", "--no-tags", "--prune", *deepen, "origin", *refspecs)
    if os.environ.get("GITHUB_ACTIONS") != "true":
        _refuse_losing_work(repo, head)
    # A copied tree looks changed, and checkout would write every file of it.
    git(repo, "update-index", "-q", "--refresh", check=False)
    git(repo, "checkout", "--quiet", "--force", "-B", branch, head)
    return resolve(repo, "HEAD") or ""


def _refuse_losing_work(repo: str | Path, head: str) -> None:
    if changed := git(repo, "status", "--porcelain", "--untracked-files=no"):
        names = listed((line[3:] for line in changed.splitlines()), 5)
        raise Fault(f"uncommitted changes would be lost: {names}; commit or stash them first")
    if not is_ancestor(repo, "HEAD", head):
        raise Fault(f"commits that origin does not have would be lost, see git log {head}..HEAD; push them")
