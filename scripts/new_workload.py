#!/usr/bin/env python3
"""Write a new workload of your own for the clusters, to start from.

Writes clusters/modules/NAME, a module with one release and its chart, and adds the module to clusters/modules.tf. It
runs as it is: it installs a ConfigMap. Nothing of another content is overwritten: where one of the files is there and
different, none is written. `NAME` in the map `workload` of clusters/variables.tf then installs it on a cluster;
docs/workloads.md describes the rest.
Exit codes: 0 written or already there, 1 a file of another content is in the way, 2 a name that cannot be one.
"""

from fleet import cli
from fleet.findings import guarded
from fleet.paths import CLUSTERS_DIR, shown
from fleet.workloads.new import make


@guarded
def main(argv: list[str] | None = None) -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("name", metavar="NAME", help="the workload's name, as in the map `workload`")
    parser.add_argument("--dry-run", action="store_true", help="say what would be written, write nothing")
    args = parser.parse_args(argv)
    made = make(args.name, CLUSTERS_DIR, args.dry_run)
    for path in made.written:
        print(f"{'would write' if args.dry_run else 'wrote'} {shown(path)}")
    for path in made.same:
        print(f"unchanged {shown(path)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
