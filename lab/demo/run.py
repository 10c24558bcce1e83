"""Running a demo: which steps, on which lab, and what is left to do by hand."""

import argparse
import time
from collections.abc import Callable, Mapping

from lab import daemons, lab_dir, setup, user
from lab.clone import Clone
from lab.demo.proof import say, served, title

Step = Callable[[Clone], None]


def run(
    target: str,
    steps: Mapping[str, Step],
    text: str,
    argv: list[str],
    last: Step | None = None,
    alone: Mapping[str, Step] | None = None,
) -> int:
    """Show every step the first time, and later only the first one, which proves that nothing changes.

    `target` is make's; `last` comes after all steps, and those of `alone` are shown only by name.
    Exit codes: 0 done, 2 wrong usage; LabError when a step fails.
    """
    known = {**steps, **(alone or {})}
    parser = argparse.ArgumentParser(prog=f"make {target} STEP=…", description=text)
    parser.add_argument("step", nargs="?", choices=known, help="only this step")
    chosen = parser.parse_args(argv).step
    started = time.monotonic()
    setup.everything()
    if up := daemons.up():
        say(f"the lab is up: {', '.join(up)}")
    done = lab_dir() / "demo" / f"complete-{target}"
    fleet = user.fleet()
    if newer := fleet.update():
        title("the fleet merges what was committed in this checkout since the last demo")
        served(newer)
    shown = [chosen] if chosen else list(steps)[:1] if done.exists() else list(steps)
    for step in shown:
        known[step](fleet)
    if not chosen:
        if last and len(shown) > 1:
            last(fleet)
        done.touch()
        say(
            f"done in {time.monotonic() - started:.0f} s; look around with make lab-status,"
            f" .venv/bin/python -m lab.forge runs, {fleet.path}; one step: make {target} STEP={'|'.join(known)}"
        )
    return 0
