#!/usr/bin/env python3
"""Run the playbooks that the queue asks for, on the machines that wait for them and on no other.

Reads: new_hosts.txt, k8s.ini, the playbooks, known_hosts. For each playbook in the queue's order it waits
for its machines (see readiness.py), runs ansible-playbook once, and takes the machines that succeeded
off the queue in a commit of its own; the others stay, and the next run tries them again.
With --playbook and --hosts it runs one playbook on named machines, without the queue.
Exit codes: 0 all succeeded or nothing to do, 1 a machine failed or was out of reach, 2 wrong usage,
128 and more: ended by a signal.
"""

import argparse
import time
from pathlib import Path
from typing import NamedTuple

from fleet import cli, processes
from fleet.ansible import play, queue
from fleet.ansible.inventory import parse
from fleet.ansible.playable import playable, refusing
from fleet.ansible.queue import Entry
from fleet.files import read_text, write_text
from fleet.findings import Fault, Finding, guarded, report
from fleet.forge import step
from fleet.git import publish
from fleet.hosts import readiness, ssh
from fleet.paths import PLAYBOOKS_DIR, ROOT, shown


class Row(NamedTuple):
    host: str
    playbook: str
    result: str
    seconds: float = 0
    changed: int = 0


class Run:
    """What one call does with every playbook, and what came out of it so far."""

    def __init__(self, args: argparse.Namespace, key_file: str):
        self.args, self.key_file = args, key_file
        self.rows: list[Row] = []
        self.findings: list[Finding] = []
        self.stopped = 0

    def play(self, name: str, hosts: list[str]) -> set[str]:
        """Wait for the hosts and run a playbook on those that are ready; the hosts that succeeded."""
        args, start = self.args, time.monotonic()
        machines, found = readiness.targets(hosts, args.inventory)
        self.findings += found
        known_hosts = args.known_hosts.expanduser().absolute()
        print(f"{name}: waiting for {', '.join(hosts)}", flush=True)
        ready = []
        for outcome in readiness.scan(machines, known_hosts, self.key_file, args.timeout):
            if outcome.ready:
                ready.append(outcome.name)
                continue
            self.rows.append(Row(outcome.name, name, "not ready", time.monotonic() - start))
            self.findings.append(Finding(f"{outcome.name}, {name}.yml: {outcome.message}"))
        if not ready:
            return set()
        start = time.monotonic()
        file = args.playbooks_dir / f"{name}.yml"
        members = parse(read_text(args.inventory)).members()
        others = {member for host in ready for member in members.get(host, ())} - set(ready)
        done = play.run(file, ready, args.inventory, known_hosts, self.key_file, sorted(others))
        self.stopped = done.stopped
        for host, result in done.hosts.items():
            self.rows.append(Row(host, name, result, time.monotonic() - start, done.changed.get(host, 0)))
            if result != "ok":
                self.findings.append(Finding(f"{host}, {name}.yml: {result}"))
        return {host for host, result in done.hosts.items() if result == "ok"}

    def drain(self) -> None:
        """Play what is queued, playbook by playbook; the queue is read again each time, it may have grown."""
        tried: set[Entry] = set()
        while not self.stopped:
            inventory = parse(read_text(self.args.inventory), shown(self.args.inventory))
            entries, found = queue.parse(read_text(self.args.queue), shown(self.args.queue))
            good, problems = playable(entries, inventory, self.args.playbooks_dir, shown(self.args.queue))
            left = [entry for entry in good if entry not in tried]
            if inventory.findings or not left:
                self.findings += inventory.findings + found + problems
                return
            name = left[0].playbook
            batch = [entry for entry in left if entry.playbook == name]
            tried |= set(batch)
            succeeded = self.play(name, list(dict.fromkeys(entry.host for entry in batch)))
            if done := [entry for entry in batch if entry.host in succeeded]:
                self.take_off(done)

    def take_off(self, done: list[Entry]) -> None:
        def change() -> str | None:
            text = read_text(self.args.queue)
            if not write_text(self.args.queue, queue.remove(text, done)):
                return None
            return f"Drain the Ansible queue: {', '.join(f'{e.host} ({e.playbook})' for e in done)}"

        if self.args.no_publish:
            change()
            return
        try:
            publish.publish(ROOT, change)
        except Fault as fault:
            names = ", ".join(entry.host for entry in done)
            message = f"{names}: played, but still queued, the next run plays again: {fault}"
            self.findings.append(Finding(message))


def show(rows: list[Row]) -> None:
    """The table of results, for a person and for GitHub's summary of the run."""
    head = ("machine", "playbook", "result", "changed", "seconds")
    lines = [(r.host, r.playbook, r.result, str(r.changed), f"{r.seconds:.0f}") for r in rows]
    widths = [max(map(len, column)) for column in zip(head, *lines, strict=True)]
    for line in (head, *lines):
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
    step.note("\n".join(f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *lines)) + "\n")


@guarded
def main(argv: list[str] | None = None) -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("--playbook", metavar="NAME", help="run this one, on --hosts, without the queue")
    parser.add_argument("--hosts", metavar="A,B", help="machines of the inventory, for --playbook")
    cli.add_inventory_and_queue(parser)
    parser.add_argument(
        "--playbooks-dir", type=Path, default=PLAYBOOKS_DIR, help=f"default: {shown(PLAYBOOKS_DIR)}"
    )
    known = readiness.KNOWN_HOSTS
    parser.add_argument("--known-hosts", type=Path, default=known, help=f"default: {known}")
    readiness.add_timeout(parser)
    parser.add_argument("--no-publish", action="store_true", help="change the queue's file, commit nothing")
    args = parser.parse_args(argv)
    if bool(args.playbook) != bool(args.hosts):
        parser.error("--playbook and --hosts belong together")
    with processes.exit_on_signals(), ssh.private_key() as key_file:
        run = Run(args, key_file)
        if args.playbook:
            hosts = list(dict.fromkeys(args.hosts.replace(",", " ").split()))
            inventory = parse(read_text(args.inventory), shown(args.inventory))
            refused = refusing(inventory, args.playbooks_dir)
            problems = [refused(host, args.playbook) for host in hosts]
            wrong = list(inventory.findings)
            wrong += [Finding(text) for text in dict.fromkeys(filter(None, problems))]
            wrong += [] if hosts else [Finding("--hosts names no machine")]
            if report(wrong):
                return 2
            run.play(args.playbook, hosts)
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
