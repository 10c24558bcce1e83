#!/usr/bin/env python3
"""Write a new playbook of your own with its role, an example of a machine and a test, to start from.

Writes proxmox/playbooks/NAME.yml, its role in proxmox/playbooks/roles, proxmox/vms/NAME.yaml.example, from which no
machine is made, and a test in tests/custom. All of it runs as it is: it writes one file on a machine. Nothing that
exists is overwritten: where one of the files is there and different, none is written. [ansible NAME] in a commit
message then runs the playbook; docs/playbooks.md describes the rest.
Exit codes: 0 written or already there, 1 a file of another content is in the way, 2 a name that cannot be one.
"""

from fleet import cli
from fleet.findings import guarded
from fleet.paths import ROOT, shown
from fleet.playbooks.new import make


@guarded
def main(argv: list[str] | None = None) -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("name", metavar="NAME", help="the playbook's name, as in [ansible NAME]")
    parser.add_argument("--dry-run", action="store_true", help="say what would be written, write nothing")
    args = parser.parse_args(argv)
    if not args.name:  # `make new-playbook` alone
        parser.error("the name is missing: make new-playbook NAME=myapp")
    made = make(args.name, ROOT, args.dry_run)
    for path in made.written:
        print(f"{'would write' if args.dry_run else 'wrote'} {shown(path)}")
    for path in made.same:
        print(f"unchanged {shown(path)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
