#!/usr/bin/env python3
"""Check the repository's secrets and variables before anything starts, and report all that is wrong at once.

Reads them from the environment, and proxmox/vms and proxmox/k8s.ini: Vault's are needed only where a machine has
a Kubernetes cluster. Asks nobody and writes nothing. No part of a value is ever printed.
Exit codes: 0 complete, 1 something is missing or has a wrong form, 2 wrong usage.
"""

import os

from fleet import cli
from fleet.findings import guarded, report
from fleet.secrets import check
from fleet.settings import SETTINGS


@guarded
def main(argv: list[str] | None = None) -> int:
    parser = cli.parser(__doc__)
    names = [setting.name for setting in SETTINGS]
    text = "secrets and variables to check (default: all)"
    parser.add_argument("names", nargs="*", metavar="NAME", help=text)
    cli.add_format(parser)
    options = parser.parse_args(argv)
    if unknown := set(options.names) - set(names):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known are {', '.join(names)}")
    code = report(check.check(os.environ, options.names), options.format)
    if code == 0 and options.format != "json":
        print("the secrets and variables are complete")
    return code


if __name__ == "__main__":
    raise SystemExit(main())
