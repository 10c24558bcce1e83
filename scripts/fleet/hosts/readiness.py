"""Waiting until machines can be provisioned: SSH answers, its host keys are known, cloud-init is done.

A machine of Talos has none of these: there the port of its API must answer, and talosctl proves to whom it talks.

Waits for all machines at once; those that fail are reported, the others continue.
"""

import argparse
import concurrent.futures
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from fleet import processes
from fleet.findings import printable
from fleet.hosts import cloud_init, known_hosts, ssh, talos

WORKERS = 64
SSH_TIMEOUT = 300
CLOUD_INIT_TIMEOUT = 600
LOGGED_IN = 15  # seconds; an attempt that took longer had logged in before it broke


class Outcome(NamedTuple):
    name: str
    ready: bool
    message: str
    keys: Mapping[str, str] = {}


def scan(
    machines: list[ssh.Target],
    known: str,
    key_file: str = "",
    ssh_timeout: float = SSH_TIMEOUT,
    cloud_init_timeout: float = CLOUD_INIT_TIMEOUT,
) -> dict[ssh.Target, Outcome]:
    """Wait for all machines at once, at most the two times in seconds. `known`: known_hosts as text."""
    wait = Wait(known, key_file, time.monotonic(), ssh_timeout, cloud_init_timeout, threading.Event())
    outcomes: dict[str, Outcome] = {}
    said = wait.start
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool, _ending_early(wait.over):
        running = {pool.submit(_wait_for, machine, wait): machine for machine in machines}
        while left := {future for future in running if running[future].name not in outcomes}:
            done, left = concurrent.futures.wait(left, 1, concurrent.futures.FIRST_COMPLETED)
            for future in done:
                outcomes[running[future].name] = future.result()
            if left and time.monotonic() - said > 10:
                said = time.monotonic()
                names = ", ".join(sorted(running[future].name for future in left))
                print(f"waiting for {names}, {said - wait.start:.0f} s", file=sys.stderr)
    return {machine: outcomes[machine.name] for machine in machines}


def learned(text: str, met: Mapping[ssh.Target, Outcome]) -> tuple[str, list[Outcome]]:
    """known_hosts with the keys of the machines that are ready, and the outcomes with what speaks against it.

    `text` may be a newer one than that which `scan` had: what another run has learned meanwhile stays.
    """
    after = []
    for machine, outcome in met.items():
        if outcome.ready and outcome.keys:
            try:
                text = known_hosts.renewed(text, machine.name, machine.place, outcome.keys, machine.instance)
            except known_hosts.Changed as error:
                outcome = Outcome(machine.name, False, str(error))
        after.append(outcome)
    return text, after


class Wait(NamedTuple):
    """What all machines are waited for with: times in seconds, `over` when it is to end early."""

    known: str
    key_file: str
    start: float
    ssh_timeout: float
    cloud_init_timeout: float
    over: threading.Event


@contextlib.contextmanager
def _ending_early(over: threading.Event) -> Iterator[None]:
    """On a signal tell the threads to end, and end what they wait for, which would take minutes."""
    try:
        yield
    except BaseException:
        over.set()
        processes.signal_descendants(signal.SIGTERM)
        raise


def _wait_for(machine: ssh.Target, wait: Wait) -> Outcome:
    """One machine from no answer at all to a finished cloud-init."""
    if machine.connection == talos.CONNECTION:
        return Outcome(machine.name, *talos.wait(machine.address, wait.start, wait.ssh_timeout, wait.over))
    if machine.connection not in ("ssh", "paramiko", "smart"):
        return Outcome(machine.name, True, f"no SSH, its connection is {machine.connection}")
    deadline = wait.start + wait.ssh_timeout
    while True:
        begun = time.monotonic()
        try:
            outcome, problem = _try(machine, wait)
        except known_hosts.Changed as error:
            return Outcome(machine.name, False, str(error))
        except subprocess.TimeoutExpired:
            message = f"cloud-init is not done after {wait.cloud_init_timeout:.0f} s"
            return Outcome(machine.name, False, message)
        except processes.Endless:
            message = f"what it answers to `{cloud_init.STATUS}` does not end; look at the machine"
            return Outcome(machine.name, False, message)
        if outcome:
            return outcome
        if time.monotonic() - begun > LOGGED_IN:  # cloud-init restarted the machine
            latest = wait.start + wait.ssh_timeout + wait.cloud_init_timeout
            deadline = min(latest, time.monotonic() + wait.ssh_timeout)
        if time.monotonic() > deadline or wait.over.is_set():
            message = f"SSH at {machine.place}: {problem} within {wait.ssh_timeout:.0f} s"
            return Outcome(machine.name, False, message)
        wait.over.wait(1)


def _try(machine: ssh.Target, wait: Wait) -> tuple[Outcome | None, str]:
    """Log in and wait for cloud-init: what came of it, or None and why another attempt is needed."""
    keys = ssh.keyscan(machine)
    if not keys:
        return None, "no answer"
    known_hosts.renewed(wait.known, machine.name, machine.place, keys, machine.instance)
    done = ssh.run(machine, cloud_init.STATUS, keys, wait.key_file, wait.cloud_init_timeout)
    if done.returncode == 255:
        return None, printable((done.stderr.strip().splitlines() or ["the connection broke"])[-1])
    if ssh.keyscan(machine) != keys:  # read before cloud-init made the machine's own
        return None, "its host keys change"
    return Outcome(machine.name, *cloud_init.outcome(done), keys), ""


def add_timeout(parser: argparse.ArgumentParser) -> None:
    default = os.environ.get("SSH_TIMEOUT") or SSH_TIMEOUT  # GitHub gives "" for a variable that is not set
    text = f"seconds to wait for SSH (default: SSH_TIMEOUT, else {SSH_TIMEOUT})"
    parser.add_argument("--timeout", type=float, default=default, metavar="S", help=text)
