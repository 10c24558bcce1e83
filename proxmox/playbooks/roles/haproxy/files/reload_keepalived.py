#!/usr/bin/env python3
"""Have keepalived read a configuration that is newer than its last start or reload; "reloaded" when there was one.

    reload_keepalived.py CONFIG

It runs on the machine, so it needs nothing but Python and its standard library. Exit code: systemctl's.
"""

import subprocess
import sys
import time
from pathlib import Path

UNIT = "keepalived.service"
SINCE = ["systemctl", "show", "--property=StateChangeTimestampMonotonic", "--value", UNIT]


def main(config: str) -> int:
    asked = subprocess.run(SINCE, capture_output=True, check=True)
    since = time.clock_gettime(time.CLOCK_MONOTONIC) - int(asked.stdout) / 1e6
    if since <= time.time() - Path(config).stat().st_mtime:
        return 0
    done = subprocess.run(["systemctl", "reload", UNIT]).returncode
    if not done:
        print("reloaded")
    return done


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
