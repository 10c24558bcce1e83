#!/usr/bin/env python3
"""Check what clusters/ says of workspaces, workloads and charts, without Terraform, and report all that is wrong.

Reads clusters/variables.tf, the other files beside it and the names of the folders in clusters/modules, and the
names of proxmox/vms/*.yaml, whose clusters the contexts are. Writes nothing, asks neither Vault nor a cluster.
A checkout without clusters/ has nothing to check.
Exit codes: 0 valid, 1 errors, 2 wrong usage.
"""

import sys
from pathlib import Path

from fleet import cli
from fleet.findings import guarded, report
from fleet.paths import ROOT, VMS_DIR, shown
from fleet.workspaces.check import check

CLUSTERS = ROOT / "clusters"


@guarded
def main(argv: list[str] | None = None) -> int:
    parser = cli.parser(__doc__)
    option = parser.add_argument
    option("--clusters-dir", type=Path, default=CLUSTERS, help=f"default: {shown(CLUSTERS)}")
    option("--vms-dir", type=Path, default=VMS_DIR, help=f"default: {shown(VMS_DIR)}")
    cli.add_format(parser)
    options = parser.parse_args(argv)
    as_json = options.format == "json"
    if not options.clusters_dir.is_dir():
        print("[]" if as_json else f"{shown(options.clusters_dir)} is not there: nothing to check")
        return 0
    count, findings = check(options.clusters_dir, options.vms_dir)
    # As JSON the findings are the answer.
    status = report(findings, options.format, sys.stdout if as_json else None)
    if status == 0 and not as_json:
        print(f"{count} workspace{'s' if count != 1 else ''}: valid")
    return status


if __name__ == "__main__":
    raise SystemExit(main())
