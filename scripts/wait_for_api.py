#!/usr/bin/env python3
"""Wait until a cluster's API answers /readyz from this machine, to the credentials of its kubeconfig.

Reads the kubeconfig that K3s writes from standard input. The certificate is verified for the given address,
and no redirect is followed. Writes nothing, and prints what it asked; no secret is ever printed.
Exit codes: 0 the API answered, 1 it did not answer well in time, 2 wrong usage or a kubeconfig of no use.
"""

import sys
import time

from fleet import cli
from fleet.clusters import ready
from fleet.clusters.from_machine import MAX_BYTES
from fleet.findings import Fault, guarded

EXAMPLES = """examples:
  ssh suporte@192.168.1.20 sudo cat /etc/rancher/k3s/k3s.yaml | wait_for_api.py 192.168.1.20 --timeout 60
"""


@guarded
def main(argv: list[str] | None = None) -> int:
    parser = cli.parser(__doc__, EXAMPLES)
    parser.add_argument("address", help="the address under which this machine reaches the API")
    parser.add_argument("--timeout", type=float, default=180, help="seconds to wait (default: %(default)s)")
    options = parser.parse_args(argv)
    raw = sys.stdin.buffer.read(MAX_BYTES + 1)
    asked = ready.question(raw.decode(errors="replace"), options.address)
    if not asked or len(raw) > MAX_BYTES:
        raise Fault("the kubeconfig on standard input cannot be used: it is not one that K3s wrote", code=2)
    started = time.monotonic()
    problem = ready.wait_at_most(asked, options.timeout)
    if problem:
        raise Fault(f"{asked.url} {problem} (waited {options.timeout:.0f} s)")
    print(f"{asked.url} answered from outside after {time.monotonic() - started:.1f} s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
