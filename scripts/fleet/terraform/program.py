"""Which program is Terraform here: Terraform itself or OpenTofu."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from fleet.findings import Fault, cut, visible

VARIABLE = "TERRAFORM"  # names the program, or its path
NAMES = ("terraform", "tofu")
# Both can do what proxmox/*.tf needs since 1.9: a variable's validation may refer to a local value.
OLDEST, BEFORE = (1, 9), (2, 0)
INSTALL = "install Terraform or OpenTofu, 1.9 or newer"
VERSION = re.compile(r"^(Terraform|OpenTofu) v((\d+)\.(\d+)\.\S+)", re.M)


def path() -> str:
    """The program that TERRAFORM names, else the first of NAMES on PATH. Raises Fault (exit 2)."""
    given = os.environ.get(VARIABLE, "").strip()
    for name in [given] if given else NAMES:
        if found := shutil.which(name):
            return found
    if given:
        message = (
            f"{VARIABLE} is {cut(visible(given))}, which is not a program on PATH; {INSTALL}, or unset it"
        )
    else:
        message = f"neither terraform nor tofu is on PATH; {INSTALL}, or name the program in {VARIABLE}"
    raise Fault(message, code=2)


def name() -> str:
    """The program's name for a message: also where none is installed."""
    try:
        return Path(path()).name
    except Fault:
        return NAMES[0]


def check() -> str:
    """Which of the two it is, "Terraform" or "OpenTofu". Raises Fault (exit 2) for any other, or a wrong version."""
    return version().partition(" ")[0]


def version() -> str:
    """The same with its version, as "OpenTofu 1.11.4"."""
    program = path()
    try:
        done = subprocess.run(
            [program, "version"], capture_output=True, encoding="utf-8", errors="replace", check=False
        )
    except OSError as error:  # such as a program for another processor
        raise Fault(f"{program} cannot be run: {error.strerror}; {INSTALL}", code=2) from None
    found = VERSION.search(done.stdout)
    if not found:
        said = cut(" ".join((done.stdout + done.stderr).split())) or "nothing"
        message = f"{program} is neither Terraform nor OpenTofu: `version` printed {visible(said)}; {INSTALL}"
        raise Fault(message, code=2)
    product, number, *numbers = found.groups()
    if not OLDEST <= tuple(map(int, numbers)) < BEFORE:
        message = (
            f"{program} is {product} {number}; this project needs 1.9 or newer, and not 2.0: install such a version,"
            f" or name another program in {VARIABLE}"
        )
        raise Fault(message, code=2)
    return f"{product} {number}"
