"""Running a playbook on named hosts, and what became of each."""

import contextlib
import ctypes
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from fleet import ansible
from fleet.paths import ROOT

CALLBACKS = ROOT / "scripts" / "callback_plugins"
GRACE = 10  # seconds between the signal that is passed on and SIGKILL
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
_ARGUMENT = 100_000  # bytes; Linux takes no argument longer than 128 KiB


class Play(NamedTuple):
    hosts: dict[str, str]  # host to "ok", "failed" or "unreachable"
    changed: dict[str, int]  # host to its number of changes
    stopped: int  # the signal that ended it, or 0


def run(
    playbook: Path,
    hosts: list[str],
    inventory: Path,
    known_hosts: Path,
    key_file: str = "",
    exclude: Iterable[str] = (),
) -> Play:
    """ansible-playbook on these hosts and no other, its output as it comes. Raises Fault.

    A host counts as "ok" only when Ansible says that it came to the end without a failure. `exclude`: the
    other members of a group that is called like one of the hosts; Ansible takes such a name for the group.
    """
    with tempfile.TemporaryDirectory(prefix="play-") as folder:
        results, names = Path(folder) / "results.json", ",".join(hosts)
        patterns = [*hosts, *(f"!{name}" for name in exclude)]
        command = [ansible.command("ansible-playbook"), str(playbook), "-i", str(inventory)]
        if len(names) < _ARGUMENT:
            command += ["-e", f"target_hosts={names}", "--limit", ",".join(patterns)]
        else:
            limit, variables = Path(folder) / "limit", Path(folder) / "variables.json"
            limit.write_text("\n".join(patterns))
            variables.write_text(json.dumps({"target_hosts": names}))
            command += ["-e", f"@{variables}", "--limit", f"@{limit}"]
        command += ["--private-key", key_file] if key_file else []
        print(f"+ {shlex.join(['ansible-playbook', *command[1:]])}"[:2000], flush=True)
        code, stopped = _passing_signals(command, _environment(inventory, known_hosts, results))
        try:
            said = json.loads(results.read_text())
        except (OSError, ValueError):
            said = {"hosts": {}, "aborted": True}
    counters = said["hosts"]
    # 2 and 4: hosts failed or unreachable. All else means that Ansible itself did not get to its end.
    complete = code in (0, 2, 4, 6) and not said["aborted"] and not stopped
    elsewhere = any(c["failures"] or c["unreachable"] for host, c in counters.items() if host not in hosts)
    outcome: dict[str, str] = {}
    for host in hosts:
        own = counters.get(host, {"failures": 1, "unreachable": 0})
        bad = "unreachable" if own["unreachable"] else "failed"
        good = complete and not elsewhere and not own["failures"] and not own["unreachable"]
        outcome[host] = "ok" if good else bad
    if code and all(result == "ok" for result in outcome.values()):
        outcome = dict.fromkeys(hosts, "failed")  # Ansible counts a failure that no host shows
    return Play(outcome, {host: c.get("changed", 0) for host, c in counters.items()}, stopped)


def _environment(inventory: Path, known_hosts: Path, results: Path) -> dict[str, str]:
    environment = dict(os.environ)
    config = inventory.resolve().parent / "ansible.cfg"
    if config.exists():
        environment.setdefault("ANSIBLE_CONFIG", str(config))
    paths = [str(CALLBACKS), environment.get("ANSIBLE_CALLBACK_PLUGINS", "")]
    environment["ANSIBLE_CALLBACK_PLUGINS"] = os.pathsep.join(filter(None, paths))
    environment["FLEET_RESULTS"] = str(results)
    # Named although it is often the default: OpenSSH takes the home of passwd, and not HOME.
    options = "-o StrictHostKeyChecking=yes -o " + shlex.quote(f'UserKnownHostsFile="{known_hosts}"')
    before = environment.get("ANSIBLE_SSH_COMMON_ARGS", "")
    environment["ANSIBLE_SSH_COMMON_ARGS"] = f"{before} {options}".strip()
    return environment


def _passing_signals(command: list[str], environment: dict[str, str]) -> tuple[int, int]:
    """Run a command to its end; its exit status, and the signal that was passed on to it, or 0.

    Ansible's workers are in sessions of their own, so that no signal to its process group reaches them: all
    descendants get it, those that lost their parent too, and after GRACE seconds SIGKILL.
    """
    stopped: list[int] = []
    done = threading.Event()

    def kill_later() -> None:
        if not done.wait(GRACE):
            _signal_descendants(signal.SIGKILL)

    def pass_on(signum: int, _frame: object) -> None:
        stopped.append(signum)
        _signal_descendants(signum)
        if len(stopped) == 1:
            threading.Thread(target=kill_later, daemon=True).start()

    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {signum: signal.signal(signum, pass_on) for signum in signals}
    try:
        _adopt_orphans()
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )
        code = process.wait()
        if stopped:
            _signal_descendants(signal.SIGKILL)
        return code, stopped[0] if stopped else 0
    finally:
        done.set()
        for signum, handler in before.items():
            signal.signal(signum, handler)


def _signal_descendants(signum: int) -> None:
    for pid in _descendants():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signum)


def _descendants() -> list[int]:
    """The processes below this one, as /proc has them now; the children before their own children."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError, ValueError):
            # The second field, the name, may contain spaces and brackets.
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(folder.name))
    found = list(children.get(os.getpid(), ()))
    for pid in found:
        found += children.get(pid, ())
    return found


def _adopt_orphans() -> None:
    _prctl(36, 1)  # PR_SET_CHILD_SUBREAPER


def _die_with_parent() -> None:
    _prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG: a killed run leaves no play behind


def _prctl(option: int, value: int) -> None:
    if _LIBC:
        _LIBC.prctl(option, value, 0, 0, 0)
