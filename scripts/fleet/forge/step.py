"""What a step reports besides its log: the run's summary and the step's outputs. Nothing outside GitHub."""

import os
from pathlib import Path


def note(text: str) -> None:
    """Add Markdown to the summary that GitHub shows for the run."""
    _append("GITHUB_STEP_SUMMARY", text)


def output(name: str, value: str) -> None:
    """Set an output of the step, one line."""
    _append("GITHUB_OUTPUT", f"{name}={value}")


def _append(variable: str, line: str) -> None:
    if path := os.environ.get(variable):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(line + "\n")
