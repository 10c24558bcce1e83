"""Git as the workflow steps need it: a checkout at the branch's head, changes published so that none is lost.

The remote is `origin`. `refs/gitops/served` there marks the last commit whose requests (`[ansible X]`,
`[destroy NAME]`) were served; it moves in the same atomic push as the commit that records them.
"""

import os
import random
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from fleet.findings import Fault
from fleet.git.command import SERVED, git, is_ancestor, last_lines, resolve, tried
from fleet.paths import INVENTORY, QUEUE, ROOT

PUBLISHED = tuple(
    str(path.relative_to(ROOT)) for path in (INVENTORY, QUEUE)
)  # what a commit of the automation may contain

# What git or the server says: who pushed first, what will pass, and what no retry can mend.
_PROTECTED = re.compile(r"GH006|GH013|protected branch|rule violations|pre-receive hook declined", re.I)
_FORBIDDEN = re.compile(
    r"Permission .*denied|returned error: 40[13]|Authentication failed|could not read Username", re.I
)
_WORKFLOWS = re.compile(r"refusing to allow .* to create or update workflow[^)\n]*", re.I)
_LOST_RACE = re.compile(r"\[rejected\]|fetch first|non-fast-forward|stale info|cannot lock ref", re.I)


def default_branch(repo: str | Path) -> str:
    """The branch that origin's HEAD points to; the workflows' jobs run on that one only, and need not ask."""
    if os.environ.get("GITHUB_ACTIONS") == "true" and (branch := os.environ.get("GITHUB_REF_NAME")):
        return branch
    answer = git(repo, "ls-remote", "--symref", "origin", "HEAD")
    found = re.match(r"ref: refs/heads/(\S+)\tHEAD", answer)
    if not found:
        raise Fault("origin has no default branch: is the repository empty?", code=2)
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


def publish(
    repo: str | Path,
    change: Callable[[], str | None],
    served: str | None = None,
    attempts: int = 8,
    paths: Sequence[str | Path] = PUBLISHED,
) -> str | None:
    """Make a change on top of the branch's head and push it; from the start again when somebody was faster.

    `change()` is called on a clean checkout of the newest head, writes files among `paths` and returns the
    commit's subject, or None when there is nothing to write; it may be called several times. With `served`,
    the served ref moves there in the same atomic push, but never backwards. Returns the id of the commit
    pushed, or None when there was none. A process killed anywhere in here can simply be run again.
    """
    said = ""
    branch = default_branch(repo)
    for attempt in range(attempts):
        if attempt:
            pause = random.uniform(0, min(8.0, 0.25 * 2**attempt))
            print(f"somebody else pushed first, again in {pause:.1f} s: {said}", file=sys.stderr)
            time.sleep(pause)
        base = bring_to_head(repo, branch)
        lease = resolve(repo, SERVED) or ""
        said = "interrupted"
        try:
            commit = _commit(repo, change(), paths)
            refspecs = [f"HEAD:refs/heads/{branch}"] if commit else []
            if served and not (lease and is_ancestor(repo, served, lease)):
                refspecs.append(f"{served}:{SERVED}")
            said = refspecs and _push(repo, f"--force-with-lease={SERVED}:{lease}", *refspecs)
        finally:
            if said:  # a commit that could not be pushed is nobody's work to keep
                git(repo, "reset", "--quiet", "--hard", base)
        if not said:
            if refspecs and refspecs[-1].endswith(f":{SERVED}"):
                git(repo, "update-ref", SERVED, served or "")
            return commit
        if _WORKFLOWS.search(said):
            raise Fault(
                "the workflow's own token may not push over changed workflow files; store a deploy key with "
                f"write access as secret DEPLOY_KEY and run it again; git said: {said}"
            )
    raise Fault(f"not pushed after {attempts} attempts, run it again: {said}", code=2)


def ensure_served(repo: str | Path, before: str | None) -> str | None:
    """Create the served ref where there is none yet, so that the very first request outlives its run too.

    It starts at `before`, the head before the push that started this run; when that is unknown (by hand, a
    new branch, a forced push), at the parent of the commit that started the run. Returns the ref's commit.
    """
    if found := resolve(repo, SERVED):
        return found
    started = os.environ.get("GITHUB_SHA") or "HEAD"
    for candidate in (before, f"{started}^", "HEAD^"):
        start = resolve(repo, candidate) if candidate else None
        if start and is_ancestor(repo, start, "HEAD"):
            said = _push(repo, f"--force-with-lease={SERVED}:", f"{start}:{SERVED}")
            if said:  # another run was faster
                git(repo, "fetch", "--quiet", "--no-tags", "origin", "+refs/gitops/*:refs/gitops/*")
            else:
                git(repo, "update-ref", SERVED, start)
            return resolve(repo, SERVED)
    return None  # one commit only: there is nothing before it


def _commit(repo: str | Path, subject: str | None, paths: Sequence[str | Path]) -> str | None:
    if subject is None:
        return None
    root = Path(git(repo, "rev-parse", "--show-toplevel"))
    names = [str(path) for path in paths if (root / path).exists() or git(root, "ls-files", "--", str(path))]
    git(root, "add", "--all", "--", *names)
    if tried(root, "diff", "--cached", "--quiet")[0] == 0:
        return None
    git(root, "commit", "--quiet", "--no-verify", "--file=-", "--", *names, stdin=subject + "\n")
    return resolve(root, "HEAD")


def _push(repo: str | Path, *args: str) -> str:
    """Push atomically: "" when done, git's words when another attempt may succeed, a Fault when none will."""
    status, said = tried(repo, "push", "--porcelain", "--atomic", args[0], "origin", *args[1:])
    if status == 0:
        return ""
    if _PROTECTED.search(said):
        raise Fault(
            "the branch is protected against this push; give the repository a deploy key with write access, "
            f"let it bypass the rule and store it as secret DEPLOY_KEY; git said: {last_lines(said)}"
        )
    if _FORBIDDEN.search(said) and not _LOST_RACE.search(said):
        message = f"not allowed to push, the job needs `contents: write`; git said: {last_lines(said)}"
        raise Fault(message, code=2)
    refused = _WORKFLOWS.search(said)
    return refused[0] if refused else last_lines(said)


def _refuse_losing_work(repo: str | Path, head: str) -> None:
    if changed := git(repo, "status", "--porcelain", "--untracked-files=no"):
        names = ", ".join(line[3:] for line in changed.splitlines()[:5])
        raise Fault(f"uncommitted changes would be lost: {names}; commit or stash them first")
    if not is_ancestor(repo, "HEAD", head):
        raise Fault(f"commits that origin does not have would be lost, see git log {head}..HEAD; push them")
