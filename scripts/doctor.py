#!/usr/bin/env python3
"""Check what a run needs: each line says what was found and, where that is wrong, what was wanted and what mends it.

Asks this computer, Proxmox, the database of Terraform's state, Vault and GitHub at the same time, and is done within
15 seconds even if one of them hangs. It changes nothing. What is not configured is skipped, with the variable that
configures it; Proxmox's endpoint and token are needed.
Reads the environment and .env, also one that has faults, and proxmox/vms. No secret is ever printed.
Without a terminal the lines are plain text; NO_COLOR is heeded.
Exit codes: 0 all is well (there may be warnings), 1 a line is red, 2 wrong usage.
"""

import sys
import time

from fleet import cli
from fleet.doctor import show
from fleet.doctor.line import counts, worst
from fleet.doctor.run import run
from fleet.findings import guarded


@guarded
def main(argv: list[str] | None = None) -> int:
    parser = cli.parser(__doc__)
    parser.add_argument(
        "--json", action="store_true", help="print a list of objects: group, name, state, found, wanted, mend"
    )
    options = parser.parse_args(argv)
    from fleet.doctor.checks import checks  # here, so that a missing package is a message
    from fleet.doctor.configured import load_env

    began = time.monotonic()
    asked = checks(load_env())
    with show.progress(len(asked)) as tell:
        lines = run(asked, tell=tell)
    if options.json:
        print(show.as_json(lines))
        return worst(lines)
    if show.fits_table(sys.stdout):
        show.table(lines)
    else:
        print(show.plain(lines), end="\n\n")
    print(f"{counts(lines)} ({time.monotonic() - began:.1f} s)")
    return worst(lines)


if __name__ == "__main__":
    raise SystemExit(main())
