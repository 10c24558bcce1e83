#!/usr/bin/env python3
"""Wait until machines can be provisioned, and learn their SSH host keys.

For each machine, all at once: wait for SSH, read the host keys, compare them with known_hosts, log in and
wait for cloud-init to be done. Machines that fail are reported, the others continue.
Reads: k8s.ini, new_hosts.txt (without --hosts), known_hosts. Writes: known_hosts, in one step at the end; it is
the record of whom the automation has talked to, so commit it.
Exit codes: 0 all are ready, 1 some are not, 2 wrong usage.
"""

import json

from fleet import cli, processes
from fleet.ansible import queue
from fleet.files import read_text, write_text
from fleet.findings import Finding, guarded, report
from fleet.hosts import readiness, ssh
from fleet.hosts.targets import targets
from fleet.paths import KNOWN_HOSTS


@guarded
def main(argv: list[str] | None = None) -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("--hosts", metavar="A,B", help="machines of the inventory (default: the queued ones)")
    cli.add_inventory_and_queue(parser)
    cli.add_known_hosts(parser)
    readiness.add_timeout(parser)
    parser.add_argument(
        "--cloud-init-timeout",
        type=float,
        default=readiness.CLOUD_INIT_TIMEOUT,
        metavar="S",
        help="seconds to wait for cloud-init once SSH answers (default: %(default)s)",
    )
    cli.add_format(parser)
    args = parser.parse_args(argv)
    if args.hosts:
        names = args.hosts.replace(",", " ").split()
    else:
        names = [entry.host for _, entry in queue.parse(read_text(args.queue))[0]]
    machines, found = targets(dict.fromkeys(names), args.inventory)
    with processes.exit_on_signals(), ssh.private_key() as key_file:
        file = args.known_hosts or args.inventory.with_name(KNOWN_HOSTS.name)
        times = (args.timeout, args.cloud_init_timeout)
        met = readiness.scan(machines, read_text(file), key_file, *times)
    before = read_text(file)  # another run may have written it meanwhile
    text, outcomes = readiness.learned(before, met)
    if text != before:
        write_text(file, text)
    found += [Finding(f"{name}: {message}") for name, ready, message, _ in outcomes if not ready]
    if args.format == "json":
        print(json.dumps([outcome._asdict() for outcome in outcomes], indent=2))
    else:
        for outcome in outcomes:
            print(f"{outcome.name}: {outcome.message}" if outcome.ready else f"{outcome.name}: NOT READY")
    return report(found, "text" if args.format == "json" else args.format)


if __name__ == "__main__":
    raise SystemExit(main())
