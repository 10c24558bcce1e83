#!/usr/bin/env python3
"""Bring the checkout to the head of the default branch, so that a re-run never works on an old tree.

Reads origin; writes the checkout. With --before it also creates refs/gitops/served on origin where there is
none yet: the mark from which on requests in commit messages are open. Prints where the checkout stands.

Exit: 0 done, 1 a person's work would be lost, 2 git or origin failed.
"""

import os

from fleet import cli
from fleet.findings import guarded, printable
from fleet.git import command as git
from fleet.git.checkout import bring_to_head
from fleet.git.publish import ensure_served
from fleet.paths import ROOT


@guarded
def main(argv: list[str] | None = None) -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("--repo", default=ROOT, help="the checkout (default: this one)")
    parser.add_argument(
        "--before", metavar="SHA", help="head before the push that started this run; may be empty or unknown"
    )
    options = parser.parse_args(argv)

    head = bring_to_head(options.repo)
    print(printable(git.git(options.repo, "log", "-1", "--format=at %h %s")))
    started = git.resolve(options.repo, os.environ.get("GITHUB_SHA", ""))
    if started and started != head:
        print(f"started by {started[:9]}, the branch has moved on since")
    if options.before is not None:
        served = ensure_served(options.repo, options.before)
        if served:
            print(f"requests are served up to {served[:9]}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
