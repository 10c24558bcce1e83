"""Run a command in this one's place: its input and output are this process's own, its signals are passed on."""

import os
import signal
import subprocess
from collections.abc import Mapping

from fleet import processes
from fleet.findings import Fault

# Ctrl-C and Ctrl-\\ of a terminal reach the command by themselves.
OF_TERMINAL = (signal.SIGINT, signal.SIGQUIT)
PASSED = (*OF_TERMINAL, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def run(command: list[str], environment: Mapping[str, str]) -> int:
    """The exit code of a command, 128+N where signal N ended it.

    Raises Fault where it cannot be started. At a terminal it stays in this process's group, so that it may read from
    there; else it gets a group of its own, so that a signal for this one reaches it once and not twice.
    """
    terminal = any(os.isatty(number) for number in (0, 1, 2))
    waiting: list[int] = []
    child: subprocess.Popen | None = None

    def pass_on(number: int, _frame: object) -> None:
        if child is None:
            waiting.append(number)
        elif not (terminal and number in OF_TERMINAL):
            child.send_signal(number)

    # What is ignored stays so, and for the command too: nohup means it.
    heard = [number for number in PASSED if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, pass_on) for number in heard}
    try:
        child = subprocess.Popen(
            command,
            env=environment,
            process_group=None if terminal else 0,
            preexec_fn=processes.die_with_parent,
        )
        for number in waiting:
            child.send_signal(number)
        code = child.wait()
    except OSError as error:
        raise Fault(f"{command[0]} cannot be started: {error.strerror}", code=2) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return code if code >= 0 else 128 - code
