#!/usr/bin/env python3
"""Give the queued machines the playbooks that commits asked for.

Reads: the requests of `extract_ansible_tag.py --format json`, k8s.ini, new_hosts.txt.
Writes: new_hosts.txt, when it changes. From then on the queue is the record of what was asked.
Exit codes: 0 done or nothing to do, 1 broken inventory and nothing written, 2 wrong usage.
"""

import json
from pathlib import Path

from fleet import cli
from fleet.ansible import assign
from fleet.files import read_text, write_text
from fleet.findings import guarded, report
from fleet.paths import shown
from fleet.tags import requests_file


@guarded
def main(argv: list[str] | None = None) -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("--requests", type=Path, required=True, metavar="FILE", help="what was asked for")
    cli.add_inventory_and_queue(parser)
    cli.add_format(parser)
    args = parser.parse_args(argv)
    requests = requests_file.load(args.requests).requests
    old = read_text(args.queue)
    result = assign.assign(read_text(args.inventory), old, requests, shown(args.inventory), shown(args.queue))
    if result.queue_text != old:
        write_text(args.queue, result.queue_text)
    if args.format == "json":
        answer = {key: [entry._asdict() for entry in getattr(result, key)] for key in ("assigned", "waiting")}
        print(json.dumps(answer, indent=2))
    else:
        for entry in result.assigned:
            print(f"{entry.host} ({entry.address}): {entry.playbook}")
    return report(result.findings, "text" if args.format == "json" else args.format)


if __name__ == "__main__":
    raise SystemExit(main())
