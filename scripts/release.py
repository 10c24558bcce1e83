#!/usr/bin/env python3
"""Release what the default branch's head holds: version, changelog, tag, by python-semantic-release.

Reads the commits since the last tag; writes pyproject.toml, CHANGELOG.md, a commit and a tag, and pushes them
(`[tool.semantic_release]` in pyproject.toml says how). When somebody pushes meanwhile it starts again from
the new head. Local tags that origin does not have are removed. No commit that asks for one, no release; the first
release is 0.1.0 at least.

Exit: 0 done or nothing to release, 1 refused, 2 git, origin or semantic-release failed.
"""

import os
import random
import subprocess
import time

from fleet import cli
from fleet.findings import Fault, guarded
from fleet.forge import step
from fleet.git import command as git
from fleet.git.checkout import bring_to_head, default_branch
from fleet.paths import ROOT


def release(repo: str, attempts: int = 6) -> str | None:
    """Release the head; the tag that was made, or None. Raises Fault."""
    environment = dict(os.environ)
    for name in ("GITHUB_SERVER_URL", "GITHUB_API_URL"):
        # Only the changelog's links need them, and semantic-release refuses to start for one without TLS.
        if environment.get(name, "").startswith("http://"):
            del environment[name]
    for attempt in range(attempts):
        if attempt:
            time.sleep(random.uniform(0.2, 0.5 * 2**attempt))
        head = bring_to_head(repo)
        # Also takes away the tag of an attempt that could not be pushed.
        git.git(repo, "fetch", "--quiet", "--prune", "origin", "+refs/tags/*:refs/tags/*")
        command = ["semantic-release", "version", "--no-vcs-release"]
        try:
            first = not git.git(repo, "tag", "--list", "v[0-9]*", "--merged", "HEAD")
            if first:
                # It would release 0.0.0 for no reason at all, and 0.0.1, which is below pyproject.toml's, for a fix.
                asked = [*command[:2], "--print"]
                said = subprocess.run(
                    asked, cwd=repo, env=environment, capture_output=True, encoding="utf-8", errors="replace"
                )
                if said.stdout.strip() == "0.0.0":
                    return None
                command += ["--minor"] if said.stdout.startswith("0.0.") else []
            done = subprocess.run(command, cwd=repo, env=environment, check=False)
        except FileNotFoundError:
            raise Fault("semantic-release is not installed: scripts/setup_venv.sh release", code=2) from None
        made = git.resolve(repo, "HEAD")
        if done.returncode == 0:
            if made == head:
                return None
            return git.git(repo, "describe", "--tags", "--exact-match", "HEAD", check=False)
        branch = default_branch(repo)
        if git.git(repo, "ls-remote", "origin", f"refs/heads/{branch}").startswith(head):
            raise Fault("semantic-release failed, see above", code=2)
        print("somebody pushed meanwhile, again from the new head")
    raise Fault(f"others pushed during each of {attempts} attempts; run it again", code=2)


@guarded
def main(argv: list[str] | None = None) -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("--repo", default=str(ROOT), help="the checkout (default: this one)")
    tag = release(parser.parse_args(argv).repo)
    print(f"released {tag}" if tag else "nothing to release")
    step.note(f"Released **{tag}**" if tag else "Nothing to release")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
