"""What is configured: `.env`, and the machines of the VM files."""

import contextlib
import os
import re
import shutil
import subprocess

from fleet import dotenv
from fleet.doctor.line import Line, red, skipped, warning
from fleet.findings import Fault
from fleet.names import is_talos, vm_names
from fleet.paths import VMS_DIR, shown
from fleet.talos.talosctl import LEAVING, Talosctl, located
from fleet.variables import MACHINES, NAMES
from fleet.vms import values
from fleet.vms.files import load_dir
from fleet.vms.machine import Machine, machine


def load_env() -> str | None:
    """Put into the environment what `.env` has, also from a file with faults; what is wrong with it, or "".

    None where the package for it is missing. A fault of the file has a line of its own, and the others shall show what
    would be found without it.
    """
    path, problem = dotenv.file(), ""
    if os.environ.get("GITHUB_ACTIONS") == "true":
        return ""
    try:
        entries, findings = dotenv.examine(path)
        if findings:
            problem = "; ".join(finding.text() for finding in findings)
        else:
            dotenv.load()  # which refuses what the environment contradicts itself in
    except Fault as fault:
        entries, problem = {}, fault.finding.text()
    except ModuleNotFoundError:
        return None
    for name, entry in entries.items():
        if NAMES[name].group == MACHINES:  # which `.env` alone describes
            os.environ[name] = entry.value
        os.environ.setdefault(name, entry.value)
    return problem


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


def words(name: str) -> list[str]:
    return [str(word) for word in values.words(setting(name))]


def machines() -> list[Machine]:
    """The managed machines of the VM files that can be read; the others are `make validate`'s to tell."""
    found = []
    for vm in load_dir(VMS_DIR)[0].values():
        if vm.managed:
            with contextlib.suppress(Fault, ValueError, KeyError, TypeError, AttributeError):
                found.append(machine(vm))
    return found


def has_talos() -> bool:
    return any(map(is_talos, vm_names(VMS_DIR)))


def talosctl() -> Line:
    wanted = "the version of talos_version"
    try:
        found = Talosctl(located(LEAVING))
        said = re.search(r"v\d+\.\d+\.\S+", found.make("version", "--client"))
    except Fault as fault:
        problem, _, mend = str(fault).partition("; ")
        return warning("talosctl", problem, wanted, mend or LEAVING)
    return Line("talosctl", f"{said[0] if said else 'of an unknown version'} ({found.program})", wanted)
