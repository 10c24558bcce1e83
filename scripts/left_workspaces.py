#!/usr/bin/env python3
"""Name the workspaces whose state has releases although clusters/variables.tf has the workspace no longer.

Reads clusters/variables.tf, whether its history ever had a workspace, and if so the states in Terraform's backend;
writes nothing. For each it says how to uninstall what it has left, or how to forget it. Environment or `.env`:
PG_CONN_STR.
Exit codes: 0 none, 1 at least one, 2 wrong usage or the backend is out of reach.
"""

from pathlib import Path

from fleet import cli, dotenv, paths
from fleet.files import read_text
from fleet.findings import Finding, guarded, report
from fleet.releases import left
from fleet.steps import first_run
from fleet.workspaces import maps
from fleet.workspaces.states import reading


@guarded
def main(argv: list[str] | None = None) -> int:
    parser = cli.parser(__doc__)
    folder = "folder of the Terraform configuration"
    parser.add_argument("--dir", type=Path, default=paths.CLUSTERS_DIR, help=folder)
    args = parser.parse_args(argv)
    dotenv.load()
    if args.dir.resolve() == paths.CLUSTERS_DIR and not first_run.has_workspaces():
        print("no commit ever had a workspace, so there is no state to look into")
        return 0
    file = args.dir / "variables.tf"
    wanted = maps.read(read_text(file), paths.shown(file)).workspaces
    findings: list[Finding | None] = []
    directory = args.dir.resolve()
    with reading(directory) as root:
        for name in left.missing(root.workspaces(), wanted):
            root.select(name)
            findings.append(left.left_maps(name, root.state()))
    found = list(filter(None, findings))
    print(f"{len(found)} workspaces left the maps and have something in their state")
    return report(found)


if __name__ == "__main__":
    raise SystemExit(main())
