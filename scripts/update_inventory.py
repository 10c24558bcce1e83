#!/usr/bin/env python3
"""Bring the Ansible inventory and the queue of new machines up to date with Terraform's outputs.

Reads: `terraform output -json` (saved, with --outputs; else asked for in proxmox/), k8s.ini, new_hosts.txt.
Writes: k8s.ini (the one before stays as k8s.ini.bak) and new_hosts.txt, each only when it changes. Queues
machines that are new or were recreated, removes machines that Terraform no longer manages, and never touches
lines written by hand. The exception is a line for a machine of Terraform's: when it agrees with Terraform it gets
the mark `# terraform` and is managed from then on, otherwise it is an error that --adopt resolves.
Exit codes: 0 done or nothing to do, 1 refused and nothing written, or all done but for machines that have a VM file
and are missing in the outputs, 2 wrong usage or Terraform out of reach.
"""

import difflib
import json
from pathlib import Path

from fleet import cli, dotenv
from fleet.ansible.update import Result, update_files
from fleet.files import read_text
from fleet.findings import guarded, report
from fleet.paths import shown
from fleet.terraform import outputs


def _print(result: Result, fmt: str | None) -> None:
    answer = {
        key: getattr(result, key)
        for key in ("added", "changed", "renamed", "removed", "adopted", "kept", "queued")
    }
    if fmt == "json":
        print(json.dumps(answer, indent=2))
        return
    for key, names in answer.items():
        texts = [f"{name} ({names[name]})" for name in names] if isinstance(names, dict) else names
        if texts:
            print(f"{key}: {', '.join(texts)}")


@guarded
def main(argv: list[str] | None = None) -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("--outputs", type=Path, metavar="FILE", help="a saved `terraform output -json`")
    cli.add_inventory_and_queue(parser)
    parser.add_argument("--keep", action="append", default=[], metavar="NAME", help="keep NAME's line")
    approve = "NAME may be removed even as the last machine"
    parser.add_argument("--approve-destroy", action="append", default=[], metavar="NAME", help=approve)
    take = "take Terraform's values into the line that a person wrote for NAME (all: for every such machine)"
    parser.add_argument("--adopt", action="append", default=[], metavar="NAME", help=take)
    parser.add_argument("--dry-run", action="store_true", help="show what would change and write nothing")
    cli.add_format(parser)
    args = parser.parse_args(argv)
    if not args.outputs:
        dotenv.load()  # Terraform's state may be in a database
    if args.inventory.resolve() == args.queue.resolve():
        parser.error("--inventory and --queue are the same file")
    terraform = outputs.load(args.outputs)
    files = (args.inventory, args.queue)
    before = tuple(map(read_text, files))
    result = update_files(terraform, *files, args.keep, args.dry_run, args.approve_destroy, args.adopt)
    code = report(result.findings, "text" if args.format == "json" else args.format)
    if code:
        return code
    _print(result, args.format)
    after = (result.inventory_text, result.queue_text)
    if args.format != "json":
        news = [shown(path) for path, *texts in zip(files, before, after, strict=True) if len(set(texts)) > 1]
        print(f"{'would change' if args.dry_run else 'written'}: {', '.join(news) or 'nothing'}")
    if args.format != "json" and args.dry_run:
        for path, old, new in zip(files, before, after, strict=True):
            names = (shown(path), f"{shown(path)} (new)")
            for line in difflib.unified_diff(old.splitlines(), new.splitlines(), *names, lineterm=""):
                print(line)
    return report(result.missing, "text" if args.format == "json" else args.format)


if __name__ == "__main__":
    raise SystemExit(main())
