#!/usr/bin/env python3
"""Propose the newest builds of the cloud images: a pull request with the lock that update_images.py wrote.

Reads images.lock.yml of the checkout and the table that update_images.py printed; pushes the branch images-update,
which is the automation's own, and opens its pull request, or brings the open one up to date, through GitHub's API
(GITHUB_API_URL, GITHUB_REPOSITORY, GITHUB_TOKEN). Where the repository does not permit that to workflows, it says
how to open it by hand. Standard library only.
Exit codes: 0 proposed, or nothing is newer, 1 refused, 2 wrong usage, git or GitHub failed.
"""

import os
from pathlib import Path

from fleet import cli
from fleet.files import read_text
from fleet.findings import Fault, guarded
from fleet.forge import proposal
from fleet.forge.proposal import Proposal
from fleet.git import branch
from fleet.git.checkout import default_branch
from fleet.paths import ROOT

BRANCH = "images-update"
LOCK = "proxmox/images.lock.yml"
TITLE = "feat(images): newest builds of the cloud images"
REASON = (
    "What is made from now on is made of these builds; machines and templates that exist stay as they are."
)


@guarded
def main(argv: list[str] | None = None) -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("--table", type=Path, metavar="FILE", help="what update_images.py printed")
    parser.add_argument("--repo", type=Path, default=ROOT, help="the clone to read (default: this one)")
    options = parser.parse_args(argv)
    api, repository = os.environ.get("GITHUB_API_URL", ""), os.environ.get("GITHUB_REPOSITORY", "")
    if not api or not repository:
        raise Fault("GITHUB_API_URL and GITHUB_REPOSITORY are needed, as a workflow has them", code=2)
    table = read_text(options.table).strip() if options.table else ""
    print(table)
    lock = options.repo / LOCK
    if not lock.exists() or not branch.propose(options.repo, BRANCH, lock, f"{TITLE}\n\n{REASON}\n"):
        print("nothing is newer")
        return 0
    body = f"{REASON}\n\n```\n{table}\n```\n"
    wanted = Proposal(BRANCH, default_branch(options.repo), TITLE, body)
    proposal.tell(api, repository, os.environ.get("GITHUB_TOKEN", ""), wanted, "has newer builds")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
