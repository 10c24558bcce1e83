"""The demo: a commit becomes two running machines, and what else happens in a machine's life.

Steps: create (or, when the machines are there, proof that a second run changes nothing), memory, disk, drift,
remove. All of them the first time, later only `create`. Exit codes: 0 done, 1 a stage failed, 2 wrong usage.
"""

import argparse
import time

from lab import daemons, lab_dir, setup, user
from lab.demo import changes, creation
from lab.demo.proof import say, served, title

STEPS = {
    "create": creation.create,
    "memory": changes.memory,
    "disk": changes.disk,
    "drift": changes.drift,
    "remove": changes.remove,
}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make demo STEP=…", description=__doc__)
    parser.add_argument("step", nargs="?", choices=STEPS, help="only this step")
    chosen = parser.parse_args(argv).step
    started = time.monotonic()
    setup.everything()
    if up := daemons.up():
        say(f"the lab is up: {', '.join(up)}")
    done = lab_dir() / "demo" / "complete"
    fleet = user.fleet()
    if newer := fleet.update():
        title("the fleet merges what was committed in this checkout since the last demo")
        served(newer)
    steps = [chosen] if chosen else ["create"] if done.exists() else list(STEPS)
    for step in steps:
        STEPS[step](fleet)
    if not chosen:
        if len(steps) > 1:
            creation.create(fleet)  # `remove` took the HAProxy machine away
        done.touch()
        say(
            f"done in {time.monotonic() - started:.0f} s; look around with make lab-status,"
            f" .venv/bin/python -m lab.forge runs, {fleet.path};"
            f" one step: make demo STEP={'|'.join(STEPS)}"
        )
    return 0
