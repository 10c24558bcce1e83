"""Every command of `make lint`, taken from the Makefile, finds nothing; and no linter is told to look away."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from fleet.paths import ROOT

RECIPE = re.search(r"^lint:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.M)[1].replace("$$", "$")
COMMANDS = [line.strip() for line in RECIPE.splitlines()]
# Beside this Python, where `make setup` links actionlint too, or where the lab keeps its programs.
PATH = os.pathsep.join([str(Path(sys.executable).parent), str(ROOT / ".lab/bin"), os.environ["PATH"]])


def program(command: str) -> str:
    if "TERRAFORM" in command:  # whichever of the two there is
        return "terraform" if shutil.which("terraform", path=PATH) else "tofu"
    return command.split()[0]


@pytest.mark.parametrize("command", COMMANDS)
def test_finds_nothing(command):
    if not shutil.which(program(command), path=PATH):
        pytest.skip(f"{program(command)} is not installed; `make setup` installs it")
    run = subprocess.run(
        command, shell=True, cwd=ROOT, env=os.environ | {"PATH": PATH}, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_every_linter_is_there():
    programs = {program(command) for command in COMMANDS}
    assert {"ruff", "shellcheck", "actionlint", "zizmor", "ansible-lint"} <= programs
    assert programs & {"terraform", "tofu"}


def test_nothing_is_ignored():
    texts = "".join(path.read_text() for path in (ROOT / ".github").rglob("*.yml"))
    assert "zizmor:" not in texts
    assert "actionlint" not in texts
    settings = {path.stem for folder in (ROOT, ROOT / ".github") for path in folder.iterdir()}
    assert not settings & {"zizmor", "actionlint", ".zizmor"}
    config = yaml.safe_load((ROOT / ".ansible-lint").read_text())
    assert config["profile"] == "production"
    assert not {"skip_list", "warn_list"} & config.keys()
