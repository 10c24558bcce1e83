"""What is configured: `.env`, and the machines of the VM files."""

import contextlib
import os
import shutil
import subprocess

from fleet import dotenv
from fleet.doctor.line import Line, red, skipped
from fleet.files import read_text
from fleet.findings import Fault
from fleet.paths import VMS_DIR, shown
from fleet.variables import MACHINES, NAMES
from fleet.vms.files import load_dir
from fleet.vms.machine import Machine, machine


def load_env() -> str | None:
    """Put into the environment what `.env` has, also from a file with faults; what is wrong with it, or "".

    None where the package for it is missing. A fault of the file has a line of its own, and the others shall show what
    would be found without it.
    """
    problem = ""
    try:
        dotenv.load()
        values = {name: entry.value for name, entry in dotenv.read().items()}
    except Fault as fault:
        problem = fault.finding.text()
        values = _in_spite_of_faults()
    except ModuleNotFoundError:
        return None
    if os.environ.get("GITHUB_ACTIONS") != "true":
        for name, value in values.items():
            if NAMES[name].group == MACHINES:  # which `.env` alone describes
                os.environ[name] = value
            os.environ.setdefault(name, value)
    return problem


def _in_spite_of_faults() -> dict[str, str]:
    try:
        entries, _ = dotenv.parse(read_text(dotenv.file()).removeprefix("\ufeff"))
    except Fault:
        return {}
    values = {dotenv.ALIASES.get(name, name): entry.value for name, entry in entries.items() if entry.value}
    user, password = (values.pop(name, "") for name in (dotenv.USER, dotenv.PASSWORD))
    if user and password:
        values.setdefault(dotenv.TOKEN, f"{user}={password}")
    return values


def env_file(problem: str | None) -> Line:
    """`problem`: what `load_env` returned."""
    path = dotenv.file()
    name, wanted = ".env", "read without complaint, by you alone, and not in Git"
    if os.environ.get("GITHUB_ACTIONS") == "true":
        return skipped(name, "a workflow reads none")
    if problem is None:
        return skipped(name, "not read: the Python package python-dotenv is missing")
    if not path.exists() and not problem:
        return skipped(name, f"there is no {shown(path)}; only the environment counts (cp .env.example .env)")
    if problem:
        _, _, quoted = problem.partition("`")
        mend = (
            f"`{quoted.partition('`')[0]}`"
            if "chmod" in quoted
            else f"correct {shown(path)}; .env.example has every name"
        )
        return red(name, problem, wanted, mend)
    tracked = subprocess.run(
        ["git", "-C", str(path.parent), "ls-files", "--error-unmatch", path.name], capture_output=True, check=False
    ) if shutil.which("git") else None  # fmt: skip
    if tracked and tracked.returncode == 0:
        mend = f"`git rm --cached {shown(path)}`, and new secrets: `make fix-token` for that of Proxmox"
        return red(name, "Git tracks it, so its secrets are in the repository", wanted, mend)
    return Line(name, shown(path), wanted)


def setting(name: str) -> str:
    return os.environ.get(name, "").strip()


def machines() -> list[Machine]:
    """The managed machines of the VM files that can be read; the others are `make validate`'s to tell."""
    found = []
    for vm in load_dir(VMS_DIR)[0].values():
        if vm.managed:
            with contextlib.suppress(Fault, ValueError, KeyError, TypeError, AttributeError):
                found.append(machine(vm))
    return found
