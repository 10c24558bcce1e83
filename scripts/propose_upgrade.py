#!/usr/bin/env python3
"""Propose an upgrade: a pull request with the branch that upgrade.py made.

Reads the branch BRANCH of the clone and what upgrade.py printed; pushes the branch, and opens its pull request, or
brings the open one up to date, through GitHub's API (GITHUB_API_URL, GITHUB_REPOSITORY, GITHUB_TOKEN). A branch on
which a person has worked since is left alone, and the weekly run opens no pull request again that somebody closed.
Standard library only.
Exit codes: 0 proposed, 1 refused, as for workflow files without a deploy key, 2 wrong usage, git or GitHub failed.
"""

import os
import re
from pathlib import Path

from fleet import cli
from fleet.files import read_text
from fleet.findings import Fault, Finding, guarded, report
from fleet.forge import proposal
from fleet.forge.proposal import Proposal
from fleet.git import command as git
from fleet.git.checkout import default_branch
from fleet.git.push import WORKFLOWS, push
from fleet.paths import ROOT
from fleet.upgrades import branch

REASON = (
    "A newer version of the project, merged into this repository by `scripts/upgrade.py`. Nothing of it has run yet."
    " Close and reopen this pull request to start its checks."
)


def publish(repo: Path, name: str) -> bool:
    """Push the branch; False where origin's has commits of a person's. Raises Fault."""
    reference = f"refs/heads/{name}"
    made = git.resolve(repo, reference)
    if not made:
        raise Fault(f"there is no branch {name}; scripts/upgrade.py makes it", code=2)
    there = git.git(repo, "ls-remote", "origin", reference).partition("\t")[0]
    if there:
        git.git(repo, "fetch", "--quiet", "--no-tags", "origin", reference)
        if git.resolve(repo, there) and branch.is_same(repo, there, made):
            return True
        if not branch.is_untouched(repo, there):
            return False
    said = push(repo, f"--force-with-lease={reference}:{there}", f"{made}:{reference}")
    if WORKFLOWS.search(said):
        way_out = (
            "store a deploy key with write access as secret DEPLOY_KEY, or run `make upgrade` in a clone"
        )
        raise Fault(f"the workflow's own token may not push changed workflows; {way_out}")
    if said:
        raise Fault(f"{name} could not be pushed, run it again; git said: {said}", code=2)
    return True


@guarded
def main(argv: list[str] | None = None) -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("branch", metavar="BRANCH", help="as upgrade/v1.2.3")
    parser.add_argument("--report", type=Path, required=True, metavar="FILE", help="what upgrade.py printed")
    parser.add_argument("--repo", type=Path, default=ROOT, help="the clone to read (default: this one)")
    options = parser.parse_args(argv)
    api, repository = os.environ.get("GITHUB_API_URL", ""), os.environ.get("GITHUB_REPOSITORY", "")
    if not api or not repository:
        raise Fault("GITHUB_API_URL and GITHUB_REPOSITORY are needed, as a workflow has them", code=2)
    said = read_text(options.report).strip()
    print(said)
    name, token = options.branch, os.environ.get("GITHUB_TOKEN", "")
    # Words of others' commits: in a block of code they ask for nothing, mention nobody and are no markup.
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", said) or [""]))
    body = f"{REASON}\n\n{fence}\n{said}\n{fence}\n"
    subject = git.git(options.repo, "log", "-1", "--format=%s", f"refs/heads/{name}", check=False)
    wanted = Proposal(name, default_branch(options.repo), subject, body)
    weekly = os.environ.get("GITHUB_EVENT_NAME") == "schedule"
    if weekly and proposal.is_declined(api, repository, token, wanted):
        print(f"somebody closed the pull request of {name}; start the workflow by hand to open it again")
        return 0
    if not publish(options.repo, name):
        report([Finding(f"the branch {name} has commits of a person's and is left alone", level="notice")])
        return 0
    proposal.tell(api, repository, token, wanted, "is pushed")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
