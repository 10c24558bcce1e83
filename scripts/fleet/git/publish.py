"""Changes published on the default branch so that none is lost.

The remote is `origin`. `refs/gitops/served` there marks the last commit whose requests (`[ansible X]`,
`[destroy NAME]`, `[adopt NAME]`) were served; it moves in the same atomic push as the commit that records them.
"""

import os
import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from fleet.findings import Fault
from fleet.git.checkout import bring_to_head, default_branch
from fleet.git.command import SERVED, git, is_ancestor, resolve, tried
from fleet.git.push import WORKFLOWS, push
from fleet.paths import INVENTORY, KNOWN_HOSTS, QUEUE, ROOT

# What a commit of the automation may contain.
PUBLISHED = tuple(str(path.relative_to(ROOT)) for path in (INVENTORY, QUEUE, KNOWN_HOSTS))
# With a deploy key the push would start every workflow again, for a commit of which everything is done.
SKIP = "[skip ci]"


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
            print(f"somebody else pushed first, trying again in {pause:.1f} s: {said}", file=sys.stderr)
            time.sleep(pause)
        base = bring_to_head(repo, branch)
        lease = resolve(repo, SERVED) or ""
        said = "interrupted"
        try:
            commit = _commit(repo, change(), paths)
            refspecs = [f"HEAD:refs/heads/{branch}"] if commit else []
            if served and not (lease and is_ancestor(repo, served, lease)):
                refspecs.append(f"{served}:{SERVED}")
            said = refspecs and push(repo, f"--force-with-lease={SERVED}:{lease}", *refspecs)
        finally:
            if said:  # a commit that could not be pushed is nobody's work to keep
                git(repo, "reset", "--quiet", "--hard", base)
        if not said:
            if refspecs and refspecs[-1].endswith(f":{SERVED}"):
                git(repo, "update-ref", SERVED, served or "")
            return commit
        if WORKFLOWS.search(said):
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
            said = push(repo, f"--force-with-lease={SERVED}:", f"{start}:{SERVED}")
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
    git(root, "commit", "--quiet", "--no-verify", "--file=-", "--", *names, stdin=f"{subject}\n\n{SKIP}\n")
    return resolve(root, "HEAD")
