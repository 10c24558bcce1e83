#!/usr/bin/env python3
"""Wait until the release run of a commit has ended: its changelog commit comes before Terraform's.

Asks GitHub's REST API for the runs of release.yml with that head. Whatever its end, Terraform may go on: a
failed release, one that does not end in time or that never began is a warning. Standard library only.

Exit: 0 go on, 2 wrong usage or the API could not be asked until the time was over.
"""

import os

from fleet import cli
from fleet.findings import Fault, guarded, report
from fleet.forge import step
from fleet.forge.api import find_run
from fleet.forge.runs import wait


@guarded
def main(argv: list[str] | None = None) -> int:
    parser = cli.parser(__doc__)
    env = os.environ.get
    parser.add_argument("--sha", default=env("GITHUB_SHA"), help="the commit (default: GITHUB_SHA)")
    parser.add_argument(
        "--repository",
        default=env("GITHUB_REPOSITORY"),
        metavar="OWNER/NAME",
        help="default: GITHUB_REPOSITORY",
    )
    parser.add_argument("--workflow", default="release.yml", help="(default: %(default)s)")
    parser.add_argument(
        "--api",
        default=env("GITHUB_API_URL") or "https://api.github.com",
        metavar="URL",
        help="default: GITHUB_API_URL, else GitHub's",
    )
    parser.add_argument(
        "--timeout", type=float, default=300, metavar="SECONDS", help="at most 300 (default: %(default)s)"
    )
    parser.add_argument(
        "--grace",
        type=float,
        default=30,
        metavar="SECONDS",
        help="how long a run may be missing (default: 30)",
    )
    parser.add_argument(
        "--interval",
        type=float,
        default=5,
        metavar="SECONDS",
        help="at most, between two questions (default: 5)",
    )
    options = parser.parse_args(argv)
    if not options.sha or not options.repository:
        raise Fault("--sha and --repository are needed outside a workflow", code=2)

    token = env("GITHUB_TOKEN", "")

    def ask() -> dict | None:
        return find_run(options.api, options.repository, options.workflow, options.sha, token)

    warning = wait(ask, min(options.timeout, 300), options.grace, options.interval)
    if warning:
        step.note(f"Release: {warning.message}")
        report([warning])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
