"""Playbooks on machines: wait until these are ready, play, and take what succeeded off the queue."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from fleet.ansible import play, queue
from fleet.ansible.inventory import parse
from fleet.ansible.playable import playable, refusing
from fleet.ansible.queue import Entry
from fleet.files import read_text, temporary, write_text
from fleet.findings import Fault, Finding
from fleet.forge.results import Row
from fleet.git import publish
from fleet.hosts import readiness
from fleet.hosts.ssh import Target
from fleet.hosts.targets import targets
from fleet.names import next_playbook
from fleet.paths import ROOT, VMS_DIR, shown
from fleet.playbooks import check, source, variables


class Settings(NamedTuple):
    inventory: Path
    queue: Path
    playbooks_dir: Path
    known_hosts: Path
    key_file: str  # "": OpenSSH's own choice
    timeout: float  # seconds to wait for SSH
    publish: bool  # whether a change of the queue is committed and pushed


class Run:
    """What one call does with every playbook, and what came out of it so far."""

    def __init__(self, settings: Settings):
        self.settings = settings
        self.rows: list[Row] = []
        self.findings: list[Finding] = []
        self.stopped = 0
        self.met: dict[Target, readiness.Outcome] = {}  # the machines that were ready, with their host keys

    def refused(self, name: str, hosts: list[str]) -> list[Finding]:
        """Why a playbook cannot be run on hosts that a person named; empty when it can."""
        inventory = parse(read_text(self.settings.inventory), shown(self.settings.inventory))
        refused = refusing(inventory, self.settings.playbooks_dir)
        problems = dict.fromkeys(filter(None, (refused(host, name) for host in hosts)))
        none = [] if hosts else [Finding("--hosts names no machine")]
        return [*inventory.findings, *map(Finding, problems), *none]

    def play(self, name: str, hosts: list[str]) -> set[str]:
        """Wait for the hosts and run a playbook on those that are ready; the hosts that succeeded.

        The host keys that are new reach the record with `publish`.
        """
        settings, start = self.settings, time.monotonic()
        file = settings.playbooks_dir / f"{name}.yml"
        inventory = parse(read_text(settings.inventory))
        if wrong := check.before_run(file):
            self.findings += wrong
            self.rows += [Row(host, name, "not started") for host in hosts]
            return set()
        given = variables.given(hosts, inventory.variables(), settings.inventory.parent / VMS_DIR.name)
        self.findings += [*given.others, *(one for found in given.refused.values() for one in found)]
        self.rows += [Row(host, name, "not started") for host in given.refused]
        kept = [host for host in hosts if host not in given.refused]
        if not kept:
            return set()
        machines, found = targets(kept, settings.inventory)
        self.findings += found
        print(f"{name}: waiting for {', '.join(kept)}", flush=True)
        ready = []
        met = readiness.scan(machines, self.known(), settings.key_file, settings.timeout)
        for machine, outcome in zip(met, readiness.learned(self.known(), met)[1], strict=True):
            if outcome.ready:
                ready.append(outcome.name)
                self.met[machine] = outcome
                continue
            self.rows.append(Row(outcome.name, name, "not ready", time.monotonic() - start))
            self.findings.append(Finding(f"{outcome.name}, {name}.yml: {outcome.message}"))
        if not ready:
            return set()
        start = time.monotonic()
        members = inventory.members()
        others = {member for host in ready for member in members.get(host, ())} - set(ready)
        with temporary("known_hosts-") as folder, source.inventory(folder, given.variables) as sources:
            known_hosts = folder / "known_hosts"
            known_hosts.write_text(self.known(), encoding="utf-8")
            places = (settings.inventory, known_hosts, settings.key_file)
            done = play.run(file, ready, *places, sorted(others), sources)
        self.stopped = done.stopped
        for host, result in done.hosts.items():
            self.rows.append(Row(host, name, result, time.monotonic() - start, done.changed.get(host, 0)))
            if result != "ok":
                self.findings.append(Finding(f"{host}, {name}.yml: {result}"))
        return {host for host, result in done.hosts.items() if result == "ok"}

    def drain(self) -> None:
        """Play what is queued, playbook by playbook; the queue is read again each time, it may have grown."""
        settings, tried = self.settings, set()
        while not self.stopped:
            inventory = parse(read_text(settings.inventory), shown(settings.inventory))
            entries, found = queue.parse(read_text(settings.queue), shown(settings.queue))
            good, problems = playable(entries, inventory, settings.playbooks_dir, shown(settings.queue))
            left = [entry for entry in good if entry not in tried]
            if inventory.findings or not left:
                self.findings += inventory.findings + found + problems
                return
            name = next_playbook([entry.playbook for entry in left if entry.playbook])
            batch = [entry for entry in left if entry.playbook == name]
            tried |= set(batch)
            succeeded = self.play(name, list(dict.fromkeys(entry.host for entry in batch)))
            self.publish([entry for entry in batch if entry.host in succeeded])

    def known(self) -> str:
        """The record of host keys with what this run has learned; a key that the record has meanwhile stays."""
        return readiness.learned(read_text(self.settings.known_hosts), self.met)[0]

    def publish(self, done: Sequence[Entry] = ()) -> None:
        """Take what succeeded off the queue and record new host keys, in one commit on the branch's head."""
        queued, record = self.settings.queue, self.settings.known_hosts
        met = ", ".join(machine.name for machine in self.met)

        def change() -> str | None:
            drained = write_text(queued, queue.remove(read_text(queued), done)) if done else False
            recorded = write_text(record, text) if (text := self.known()) != read_text(record) else False
            if drained:
                return f"Drain the Ansible queue: {', '.join(f'{e.host} ({e.playbook})' for e in done)}"
            return f"Record the host keys of {met}" if recorded else None

        if not self.settings.publish:
            change()
            return
        if not done and self.known() == read_text(record):
            return
        try:
            publish.publish(ROOT, change)
        except Fault as fault:
            names = ", ".join(entry.host for entry in done)
            message = f"{names}: played but still queued, so the next run plays it again: {fault}"
            if not done:
                message = f"the host keys of {met} are not recorded: {fault}"
            self.findings.append(Finding(message))
