#!/usr/bin/env python3
"""Check the playbooks that run on machines: which machines each can reach, what it needs, its modules and roles.

Reads proxmox/playbooks/*.yml and their roles. Writes nothing, and asks no machine. Each playbook has `hosts:
"{{ target_hosts }}"` (or localhost), a line `# needs: …` above its first play, modules by their full names, roles that
exist, and syntax that ansible-playbook accepts. run_plays.py asks the first two again before each run.
Exit codes: 0 valid, 1 findings, 2 wrong usage.
"""

import sys
from pathlib import Path

from fleet import cli
from fleet.findings import guarded, report
from fleet.paths import PLAYBOOKS_DIR, shown
from fleet.playbooks.check import check_folder


@guarded
def main(argv: list[str] | None = None) -> int:
    parser = cli.parser(__doc__)
    option = parser.add_argument
    option("names", nargs="*", metavar="NAME", help="playbooks, without .yml (default: all)")
    option("--playbooks-dir", type=Path, default=PLAYBOOKS_DIR, help=f"default: {shown(PLAYBOOKS_DIR)}")
    cli.add_format(parser)
    args = parser.parse_args(argv)
    found, findings = check_folder(args.playbooks_dir, args.names)
    # As JSON the findings are the answer.
    status = report(findings, args.format, sys.stdout if args.format == "json" else None)
    if status == 0 and args.format != "json":
        print(f"{len(found)} playbook{'s' if len(found) != 1 else ''}: valid")
    return status


if __name__ == "__main__":
    raise SystemExit(main())
