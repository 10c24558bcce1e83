#!/usr/bin/env python3
"""Run the playbooks that the queue asks for, on the machines that wait for them and on no other.

Reads: new_hosts.txt, k8s.ini, the playbooks, known_hosts. For each playbook, in the queue's order but those of
load balancers before those of clusters, it waits for its machines (see readiness.py), runs ansible-playbook
once, and takes the machines that succeeded off the queue in a commit of its own; the others stay, and the next run
tries them again. That commit also has the host keys that were new: known_hosts is the record of whom the automation
has talked to.
With --playbook and --hosts it runs one playbook on named machines, without the queue; a group stands for its
managed machines that their VM files do not stop.
Exit codes: 0 all succeeded or nothing to do, 1 a machine failed or was out of reach, 2 wrong usage,
128 and more: ended by a signal.
"""

from pathlib import Path

from fleet import cli, dotenv, processes
from fleet.findings import guarded, report
from fleet.forge.results import show
from fleet.hosts import readiness, ssh
from fleet.paths import KNOWN_HOSTS, PLAYBOOKS_DIR, shown
from fleet.steps.named_hosts import hosts_of
from fleet.steps.play import Run, Settings


@guarded
def main(argv: list[str] | None = None) -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("--playbook", metavar="NAME", help="run this one, on --hosts, without the queue")
    parser.add_argument("--hosts", metavar="A,B", help="machines or groups of the inventory, for --playbook")
    cli.add_inventory_and_queue(parser)
    parser.add_argument(
        "--playbooks-dir", type=Path, default=PLAYBOOKS_DIR, help=f"default: {shown(PLAYBOOKS_DIR)}"
    )
    cli.add_known_hosts(parser)
    readiness.add_timeout(parser)
    parser.add_argument("--no-publish", action="store_true", help="change the files, commit nothing")
    args = parser.parse_args(argv)
    dotenv.load()
    if bool(args.playbook) != bool(args.hosts):
        parser.error("--playbook and --hosts belong together")
    with processes.exit_on_signals(), ssh.private_key() as key_file:
        known_hosts = args.known_hosts or args.inventory.with_name(KNOWN_HOSTS.name)
        files = (args.inventory, args.queue, args.playbooks_dir, known_hosts)
        run = Run(Settings(*files, key_file, args.timeout, not args.no_publish))
        if args.playbook:
            hosts = hosts_of(args.hosts, args.inventory)
            if not hosts and args.hosts.strip(", "):
                print(f"{args.hosts} has no managed machine that is meant to run")
                return 0
            if report(run.refused(args.playbook, hosts)):
                return 2
            run.play(args.playbook, hosts)
            run.publish()
        else:
            run.drain()
    if run.rows:
        show(run.rows)
    elif not run.findings:
        print("the queue is empty")
    code = report(run.findings)
    return 128 + run.stopped if run.stopped else code


if __name__ == "__main__":
    raise SystemExit(main())
