"""Running a playbook on named hosts, and what became of each."""

import contextlib
import json
import os
import secrets
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from fleet import processes
from fleet.ansible import command as ansible
from fleet.files import temporary
from fleet.paths import ROOT

CALLBACKS = ROOT / "scripts" / "callback_plugins"
_ARGUMENT = 100_000  # bytes; Linux takes no argument longer than 128 KiB


class Play(NamedTuple):
    hosts: dict[str, str]  # host to "ok", "failed", "unreachable" or "stopped"
    changed: dict[str, int]  # host to its number of changes
    stopped: int  # the signal that ended it, or 0


def run(
    playbook: Path,
    hosts: list[str],
    inventory: Path,
    known_hosts: Path,
    key_file: str = "",
    exclude: Iterable[str] = (),
    sources: Iterable[Path] = (),
) -> Play:
    """ansible-playbook on these hosts and no other, its output as it comes. Raises Fault.

    A host counts as "ok" only when Ansible says that it came to the end without a failure. `exclude`: the
    other members of a group that is called like one of the hosts; Ansible takes such a name for the group.
    `sources`: inventories before `inventory`, which wins where both say something.
    """
    with temporary("play-") as folder:
        results, names = folder / "results.json", ",".join(hosts)
        patterns = [*hosts, *(f"!{name}" for name in exclude)]
        command = [ansible.command("ansible-playbook"), str(playbook)]
        command += [word for source in (*sources, inventory) for word in ("-i", str(source))]
        if len(names) < _ARGUMENT:
            command += ["-e", f"target_hosts={names}", "--limit", ",".join(patterns)]
        else:
            limit, variables = folder / "limit", folder / "variables.json"
            limit.write_text("\n".join(patterns), "utf-8")
            variables.write_text(json.dumps({"target_hosts": names}), "utf-8")
            command += ["-e", f"@{variables}", "--limit", f"@{limit}"]
        print(f"+ {shlex.join(['ansible-playbook', *command[1:]])}"[:2000], flush=True)
        with _without_commands():
            code, stopped = processes.run_passing_signals(
                command, _environment(inventory, known_hosts, results, key_file)
            )
        try:
            said = json.loads(results.read_text("utf-8"))
        except (OSError, ValueError):
            said = {"hosts": {}, "aborted": True}
    counters = said["hosts"]
    # 2 and 4: hosts failed or unreachable. All else means that Ansible itself did not get to its end.
    complete = code in (0, 2, 4, 6) and not said["aborted"] and not stopped
    elsewhere = any(c["failures"] or c["unreachable"] for host, c in counters.items() if host not in hosts)
    outcome: dict[str, str] = {}
    for host in hosts:
        own = counters.get(host, {"failures": 1, "unreachable": 0})
        bad = "stopped" if stopped else "unreachable" if own["unreachable"] else "failed"
        good = complete and not elsewhere and not own["failures"] and not own["unreachable"]
        outcome[host] = "ok" if good else bad
    if code and all(result == "ok" for result in outcome.values()):
        outcome = dict.fromkeys(hosts, "failed")  # Ansible counts a failure that no host shows
    return Play(outcome, {host: c.get("changed", 0) for host, c in counters.items()}, stopped)


@contextlib.contextmanager
def _without_commands() -> Iterator[None]:
    """GitHub's runner obeys no `::command::` in what is printed meanwhile: machines decide what a play prints."""
    if os.environ.get("GITHUB_ACTIONS") != "true":
        yield
        return
    token = secrets.token_hex(16)  # whoever knows it could end this
    print(f"::stop-commands::{token}", flush=True)
    try:
        yield
    finally:
        print(f"\n::{token}::", flush=True)


def _environment(inventory: Path, known_hosts: Path, results: Path, key_file: str) -> dict[str, str]:
    environment = os.environ | ansible.LOCALE
    if key_file:  # and no option, so that the scripts that a play starts find it too
        environment["ANSIBLE_PRIVATE_KEY_FILE"] = key_file
    config = inventory.resolve().parent / "ansible.cfg"
    if config.exists():
        environment.setdefault("ANSIBLE_CONFIG", str(config))
    paths = [str(CALLBACKS), environment.get("ANSIBLE_CALLBACK_PLUGINS", "")]
    environment["ANSIBLE_CALLBACK_PLUGINS"] = os.pathsep.join(filter(None, paths))
    # An inventory that it cannot read would be left out with a warning, and the play run without its variables.
    environment["ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED"] = "True"
    environment["FLEET_RESULTS"] = str(results)
    environment["ANSIBLE_INJECT_FACT_VARS"] = "False"  # whatever a configuration says: see ansible.cfg
    # Named although it is often the default: OpenSSH takes the home of passwd, and not HOME.
    options = "-o StrictHostKeyChecking=yes -o " + shlex.quote(f'UserKnownHostsFile="{known_hosts}"')
    before = environment.get("ANSIBLE_SSH_COMMON_ARGS", "")
    environment["ANSIBLE_SSH_COMMON_ARGS"] = f"{before} {options}".strip()
    return environment
