"""The linters of `make lint`; those of workflows and playbooks stand with the tests of these."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fleet.paths import ROOT

RECIPE = re.search(r"^lint:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.M)[1].replace("$$", "$")
ELSEWHERE = ("actionlint", "zizmor", "ansible-lint")
COMMANDS = [line.strip() for line in RECIPE.splitlines() if not line.strip().startswith(ELSEWHERE)]


@pytest.mark.parametrize("command", COMMANDS)
def test_finds_nothing(command):
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    run = subprocess.run(
        command, shell=True, cwd=ROOT, env=os.environ | {"PATH": path}, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout + run.stderr
