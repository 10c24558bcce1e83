#!/usr/bin/env python3
"""List the workspaces of clusters/ that are to be applied: those that changed since all were, or all.

Compares commit by commit from refs/gitops/workspaces on, since the apply of a change that was reverted later may have
begun; changed_workspaces.py compares two commits. Reads Git alone: no Terraform, no secret. Prints a JSON list of
{workspace, context, reason}. Sets the step's outputs: `matrix`, that list, unless it is empty; `head`, the commit that
is applied with it; `since`, the commit after which approvals are read.
Exit codes: 0 listed, 1 clusters/ has errors, 2 wrong usage or no such commit.
"""

import json
from pathlib import Path

from fleet import cli
from fleet.findings import Fault, Finding, guarded, printable, report
from fleet.forge import step
from fleet.git import command as git
from fleet.paths import ROOT
from fleet.workspaces import changed, maps

MOST = 100  # commits that are compared; beyond that all is applied


def opened(repo: Path, mark: str, head: str) -> list[changed.Changed]:
    """What any commit on the way from the mark to the head has changed, of the workspaces that the head has."""
    log = ("rev-list", "--first-parent", "--reverse", f"{mark}..{head}", "--", maps.FOLDER)
    commits = git.git(repo, *log).split()
    if not commits:
        return []
    if len(commits) > MOST:
        return changed.between(repo, None, head).changed
    last = changed.side(repo, head)
    found: dict[str, changed.Changed] = {}
    before = mark
    for commit in commits:
        try:
            answer = changed.between(repo, before, commit)
        except Fault:  # nothing could be applied from a commit that cannot be read
            continue
        found |= {one.workspace: one for one in answer.changed}
        before = commit
    there = last.maps.workspaces if last else {}
    return [one._replace(context=there[name].context) for name, one in sorted(found.items()) if name in there]


@guarded
def main(argv: list[str] | None = None) -> int:
    parser = cli.parser(__doc__)
    parser.add_argument(
        "scope", choices=["open", "all"], help="what changed since the mark, or every workspace"
    )
    parser.add_argument(
        "--before", metavar="SHA", default="", help="head before the push that started this run; may be empty"
    )
    parser.add_argument("--repo", type=Path, default=ROOT, help="the clone to read (default: this one)")
    args = parser.parse_args(argv)
    mark, before, parent, head = git.resolve_all(args.repo, git.WORKSPACES, args.before, "HEAD^", "HEAD")
    if not head:
        raise Fault(f"{args.repo} has no commit", code=2)
    past = [one for one in (mark, before, parent, head) if one and git.is_ancestor(args.repo, one, head)]
    if args.scope == "open" and mark in past:
        found = opened(args.repo, mark or "", head)
    else:
        found = changed.between(args.repo, None, head).changed
        if args.scope == "open":
            report(
                [
                    Finding(
                        "all workspaces: none was recorded as applied before this branch's head",
                        level="notice",
                    )
                ]
            )
    matrix = json.dumps([one._asdict() for one in found])
    if found:
        step.output("matrix", matrix)
        step.note("\n".join(printable(f"- {one.workspace} on {one.context}: {one.reason}") for one in found))
    step.output("head", head)
    step.output("since", past[0])
    print(matrix)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
