"""The lab's forge: a bare Git repository whose pushes run the repository's own workflow files in act.

It applies what act ignores and GitHub does not: branch and path filters, concurrency groups of runs, jobs and
called workflows, and the rule that a push made with a workflow's own token starts nothing. Other modules talk
to it through `lab.forge.client`; `python -m lab.forge` is for people.
"""

import os
import sys

from lab import FORGE_URL, lab_dir


def start() -> bool:
    """Start the forge's daemon in the lab's network unless it runs; whether it was started."""
    from lab import environment, process
    from lab.forge import client

    argv = [sys.executable, "-m", "lab.forge", "serve"]
    return process.start("forge", argv, {**environment(), "PYTHONPATH": _code()}, client.alive)


def stop() -> None:
    from lab import process

    process.stop("forge")


def repository() -> str:
    """The path that a person pushes to."""
    return str(lab_dir() / "forge" / "repo.git")


def _code() -> str:
    from lab import ROOT

    return os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))


__all__ = ["FORGE_URL", "repository", "start", "stop"]
