#!/usr/bin/env python3
"""Record on origin that every workspace of clusters/ was applied as a commit has it.

Reads and writes refs/gitops/workspaces of origin, which never goes back: a run that took longer than a later one
changes nothing. From this mark on, changed_workspaces.py looks for what is to be applied.
Exit codes: 0 recorded, or already further; 2 wrong usage, or origin is out of reach.
"""

from fleet import cli
from fleet.findings import guarded
from fleet.git import mark
from fleet.git.command import WORKSPACES, resolve
from fleet.paths import ROOT


@guarded
def main(argv: list[str] | None = None) -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("commit", metavar="COMMIT", help="what was applied")
    parser.add_argument("--repo", default=ROOT, help="the checkout (default: this one)")
    args = parser.parse_args(argv)
    moved = mark.move(args.repo, WORKSPACES, args.commit)
    there = (resolve(args.repo, WORKSPACES) or "")[:9]
    print(f"all workspaces are applied up to {there}" + ("" if moved else ", which a later run has recorded"))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
