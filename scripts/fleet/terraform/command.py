"""Calling Terraform so that an interrupted run still writes its state."""

import collections
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from fleet.findings import Fault
from fleet.terraform import program

LOCK = "-lock-timeout=300s"  # the backend's own lock


def run(
    directory: Path,
    *arguments: str,
    capture: bool = False,
    quiet: bool = False,
    keep_errors: bool = False,
    settings: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run Terraform in `directory`; output is shown or kept (`capture`), errors are shown unless `quiet`.

    `keep_errors` keeps the last errors as well as showing them, and goes with neither of the two.
    `settings` are added to its environment. Raises Fault without the program.

    SIGINT and SIGTERM are handed on once, and waited for: a second one makes Terraform stop at once and
    forget what it was making. The signal ends this process, as KeyboardInterrupt, when Terraform has ended.
    """
    environment = os.environ | {"TF_IN_AUTOMATION": "1", "TF_INPUT": "0"} | dict(settings or {})
    command = [program.path(), f"-chdir={directory}", *arguments]
    if arguments[0] in ("init", "plan", "apply") and not sys.stdout.isatty():
        command.insert(3, "-no-color")
    # In a group of its own: a terminal's Ctrl-C would reach it besides the one that is handed on.
    child = subprocess.Popen(
        command,
        stdout=subprocess.PIPE if capture else None,
        stderr=subprocess.DEVNULL if quiet else subprocess.PIPE if keep_errors else None,
        encoding="utf-8",
        errors="replace",
        env=environment,
        process_group=0,
    )
    errors: collections.deque[str] = collections.deque(maxlen=1000)
    with _handed_on(child) as received:
        for line in child.stderr or ():
            print(line, end="", file=sys.stderr, flush=True)
            errors.append(line)
        output, _ = child.communicate()
    if received:
        raise KeyboardInterrupt
    return subprocess.CompletedProcess(command, child.returncode, output, "".join(errors))


def checked(
    directory: Path,
    *arguments: str,
    capture: bool = False,
    quiet: bool = False,
    settings: Mapping[str, str] | None = None,
) -> str:
    """`run`, with a Fault (exit 2) when Terraform fails; it has said why on standard error."""
    done = run(directory, *arguments, capture=capture, quiet=quiet, settings=settings)
    if done.returncode:
        said = f"{program.name()} {arguments[0]} failed (exit {done.returncode}); its message is above"
        raise Fault(said, code=2)
    return done.stdout


def pull_state(directory: Path, quiet: bool = False) -> str | None:
    """The state as JSON text (empty: there is none yet), or None where `terraform init` has not been run."""
    if not (directory / ".terraform").is_dir():
        return None
    return checked(directory, "state", "pull", capture=True, quiet=quiet)


@contextlib.contextmanager
def _handed_on(child: subprocess.Popen) -> Iterator[list[int]]:
    received: list[int] = []

    def hand_on(number: int, _frame) -> None:
        if not received:
            child.send_signal(signal.SIGINT)
        received.append(number)

    old = {number: signal.signal(number, hand_on) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
