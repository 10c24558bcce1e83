#!/usr/bin/env python3
"""Write what there is as a page and as JSON: machines with their stage, what differs, room, templates.

Reads what drift.py reads, and when VM files and the queue were last committed; changes nothing. Writes index.html,
one file that loads nothing from elsewhere, and status.json beside it. Both have names and addresses of machines and
no other value of them: whoever publishes the folder publishes these.
Exit codes: 0 written, also where something could not be looked at, which the page names; 2 wrong usage.
"""

import datetime
import json
from pathlib import Path

from fleet import cli, dotenv
from fleet.console import note
from fleet.drift import rows, sources
from fleet.files import write_atomic
from fleet.findings import Finding, guarded, report
from fleet.git.changed_at import changed_at
from fleet.paths import ROOT
from fleet.preflight import room
from fleet.proxmox import client
from fleet.status.facts import facts
from fleet.status.page import headline, page


@guarded
def main(argv: list[str] | None = None) -> int:
    parser = cli.parser(__doc__)
    cli.add_inventory_and_queue(parser)
    folder = ROOT / "status"
    parser.add_argument("--output", type=Path, default=folder, metavar="FOLDER", help="default: status")
    options = parser.parse_args(argv)
    dotenv.load()
    has = sources.read(options.inventory, options.queue)
    drift = rows.find(has)
    unknown = list(drift.unknown)
    there = sources.seen(unknown, "Proxmox", lambda: room.read(client.reader()))
    drift = drift._replace(unknown=tuple(dict.fromkeys(unknown)))
    at = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    told = facts(has, drift, there, changed_at(ROOT, "proxmox/vms", "proxmox/new_hosts.txt"), at)
    options.output.mkdir(parents=True, exist_ok=True)
    write_atomic(options.output / "status.json", json.dumps(told, indent=2) + "\n")
    write_atomic(options.output / "index.html", page(told))
    report([Finding(f"not looked at: {one}", level="warning") for one in drift.unknown])
    note(f"{headline(told)}; see {options.output / 'index.html'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
