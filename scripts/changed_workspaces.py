#!/usr/bin/env python3
"""List the workspaces of clusters/ that differ between two commits, as the matrix of a workflow's jobs.

Compares the workloads, the settings and the charts of each workspace, and the files that its modules are made of;
a changed file that every module may read means all. So does a base that this clone does not have, as after a
forced push, or one without clusters/. Reads Git alone: no checkout, no Terraform, no secret.
Prints a JSON list of {workspace, context, reason}, sorted by workspace. On a runner it sets the step's outputs:
`matrix`, that list in one line, or `none=true` when it is empty. A workspace that left the maps is not in the
list; it is reported, as is one that goes to another cluster: its releases run until somebody destroys them.
Exit codes: 0 listed, 1 the head's clusters/ has errors, 2 wrong usage or no such head.
"""

import json
from pathlib import Path

from fleet import cli
from fleet.findings import Finding, guarded, printable, report
from fleet.forge import step
from fleet.paths import ROOT
from fleet.workspaces import changed

EXAMPLES = """examples:
  changed_workspaces.py --base HEAD~1 --head HEAD
  changed_workspaces.py --base "$BEFORE" --format text
  changed_workspaces.py --all
"""


@guarded
def main(argv: list[str] | None = None) -> int:
    parser = cli.parser(__doc__, EXAMPLES)
    option = parser.add_argument
    base = parser.add_mutually_exclusive_group(required=True)
    base.add_argument("--base", metavar="COMMIT", help="the commit before; of a pull request, its base")
    base.add_argument("--all", action="store_true", help="every workspace that the head has")
    option("--head", metavar="COMMIT", default="HEAD", help="default: %(default)s")
    option("--repo", type=Path, default=ROOT, help="the clone to read (default: this one)")
    option("--format", choices=["json", "text"], default="json", help="default: %(default)s")
    options = parser.parse_args(argv)
    answer = changed.between(options.repo, None if options.all else options.base, options.head)
    still = "; what it installed there runs until it is destroyed"
    warnings = [f"workspace {name} left the maps{still}" for name in answer.removed]
    only = "; that is refused as long as it has something there"
    warnings += [f"workspace {name} goes from {old} to {new}{only}" for name, old, new in answer.moved]
    notes = [Finding(printable(warning), level="warning") for warning in warnings]
    notes += [Finding(printable(answer.note), level="notice")] if answer.note else []
    report(notes)
    matrix = json.dumps([each._asdict() for each in answer.changed])
    if answer.changed:
        step.output("matrix", matrix)
    else:
        step.output("none", "true")
    if options.format == "json":
        print(matrix)
    else:
        for each in answer.changed:
            print(printable(f"{each.workspace} on {each.context}: {each.reason}"))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
