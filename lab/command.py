"""One command and its output."""

import os
import subprocess

from lab import LabError


def output(
    argv: list[str], check: bool = True, stdin: str | None = None, env: dict[str, str] | None = None
) -> str:
    env = (env or dict(os.environ)) | {"GIT_TERMINAL_PROMPT": "0"}
    done = subprocess.run(argv, capture_output=True, text=True, input=stdin, env=env)
    if check and done.returncode:
        raise LabError(f"{argv[0]} {' '.join(argv[1:4])}…: {(done.stderr or done.stdout).strip()[-2000:]}")
    return done.stdout.strip()
