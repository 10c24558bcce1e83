#!/usr/bin/env python3
"""Show where VM files, Terraform's state, Proxmox, the inventory, the queue and the machines disagree.

Reads proxmox/vms, the state (without its lock), Proxmox by PROXMOX_READ_API_TOKEN (else PROXMOX_VE_API_TOKEN), k8s.ini
and new_hosts.txt, and whether SSH or Talos answers on each machine that runs. It repairs nothing and takes no lock;
each row names the command or the commit that mends it. While an apply runs nothing is called drift.
Writes what --json names, an object of `at`, `rows` and `unknown`; runs `terraform init` where nobody has.
Exit codes: 0 no drift, 1 drift, 2 wrong usage, or something could not be looked at: it is named, the rest is shown.
"""

import datetime
import json
from pathlib import Path

from fleet import cli, dotenv
from fleet.console import table
from fleet.drift import overview, rows, sources
from fleet.files import write_atomic
from fleet.findings import guarded


@guarded
def main(argv: list[str] | None = None) -> int:
    parser = cli.parser(__doc__)
    cli.add_inventory_and_queue(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows into this file too")
    options = parser.parse_args(argv)
    dotenv.load()
    has = sources.read(options.inventory, options.queue)
    drift = rows.find(has)
    if lines := overview.lines(has):
        print(table(overview.HEADS, lines), end="\n\n")
    if drift.rows:
        print(table(("machine", "kind", "what", "was", "is", "mend"), drift.rows), end="\n\n")
    for reason in drift.unknown:
        print(f"unknown: {reason}")
    print(f"differences: {len(drift.rows)}, unknown: {len(drift.unknown)}")
    if options.json:
        at = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        told = {"at": at, "rows": [row.fields() for row in drift.rows], "unknown": drift.unknown}
        write_atomic(options.json, json.dumps(told, indent=2) + "\n")
    return drift.code


if __name__ == "__main__":
    raise SystemExit(main())
