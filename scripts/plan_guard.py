#!/usr/bin/env python3
"""Refuse a Terraform plan that would lose data or service.

Reads what `terraform show -json PLAN` prints (a file, or standard input), the inventory (machines that were
there before, beside those of the plan's own state) and the open requests; `[destroy NAME]` in a commit approves
what else is refused. Prints what the plan does, which machines need a restart for it, and whose SSH host keys
will be new.
Exit codes: 0 the plan may be applied, 1 refused, 2 wrong usage.
"""

import json
import sys
from pathlib import Path

from fleet import cli, paths
from fleet.ansible import inventory
from fleet.files import read_text
from fleet.findings import FORMATS, Fault, guarded, report
from fleet.plans import plan as changes
from fleet.plans import takeover
from fleet.plans import text as plan_text
from fleet.plans.guard import MAX_CHANGES, Allowed, judge
from fleet.settings import number
from fleet.tags import requests_file


@guarded
def main(argv: list[str] | None = None) -> int:
    parser = cli.parser(__doc__)
    option = parser.add_argument
    option("plan", nargs="?", help="what `terraform show -json` printed (default: standard input)")
    requests_file.add_options(parser)
    option(
        "--accept",
        metavar="DIGEST",
        default="",
        help="of many machines that may end at once, as the refusal says",
    )
    option("--inventory", type=Path, default=paths.INVENTORY, help="the machines that were there before")
    limit = number("MAX_CHANGES", MAX_CHANGES)
    option("--max-changes", type=int, metavar="N", default=limit, help="refuse more (%(default)s)")
    option("--format", choices=FORMATS, help="text, github or json")
    args = parser.parse_args(argv)
    try:
        text = (
            Path(args.plan).read_text("utf-8")
            if args.plan and args.plan != "-"
            else sys.stdin.buffer.read().decode()
        )
        plan = json.loads(text)
        found = changes.read(plan)
        if "planned_values" not in plan:
            raise KeyError("planned_values")
    except OSError as error:
        raise Fault(f"cannot be read: {error.strerror}", args.plan, code=2) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Fault("is not what `terraform show -json PLAN` prints", args.plan or "-", code=2) from error
    # No inventory line tells of a machine that no play runs on, or whose address is not known yet.
    known = {
        *inventory.parse(read_text(args.inventory)).managed(),
        *filter(None, map(takeover.finished, found)),
    }
    approved = requests_file.approvals(args)
    limits = (args.max_changes, approved.drop, args.accept)
    findings = judge(found, Allowed(known, approved.destroy, approved.adopt, *limits))
    if args.format == "json":
        refused = [finding.message for finding in findings if finding.level == "error"]
        print(json.dumps(plan_text.as_data(found) | {"refused": refused}, indent=2))
        return int(bool(refused))
    print("\n".join(plan_text.lines(found)))
    return report(findings, args.format)


if __name__ == "__main__":
    raise SystemExit(main())
