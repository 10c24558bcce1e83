#!/usr/bin/env python3
"""Look whether there is any machine yet. Without one, as right after creating the repository, there is nothing to
do, and a person reads what comes next.

Reads proxmox/vms, proxmox/k8s.ini, proxmox/new_hosts.txt and the history of clusters/variables.tf; sets the step's
outputs `none` and `no_workspaces` (of clusters/) and adds to the run's summary. Needs no secret and no runner of
one's own, since there may be neither.
Exit codes: 0, whether there is one or not; 2 wrong usage.
"""

from fleet import cli
from fleet.findings import Finding, guarded, report
from fleet.forge import step
from fleet.steps import first_run

NEXT = (
    "There is no machine yet, so nothing is applied. Follow docs/install.md: it sets up Proxmox, the database, Vault,"
    " a runner and the repository's secrets. Then commit the first machine's file to proxmox/vms."
)


@guarded
def main(argv: list[str] | None = None) -> int:
    cli.parser(__doc__).parse_args(argv)
    if not first_run.has_workspaces():
        step.output("no_workspaces", "true")
    if first_run.has_machines():
        print("there are machines")
        return 0
    step.output("none", "true")
    step.note(NEXT)
    return report([Finding(NEXT, level="notice")])


if __name__ == "__main__":
    raise SystemExit(main())
