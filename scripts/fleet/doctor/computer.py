"""This computer: programs, packages, `.env`, keys, space and clock."""

import importlib
import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path

from fleet import paths
from fleet.ansible.command import command
from fleet.doctor.line import Line, red, skipped, warning
from fleet.findings import Fault, listed
from fleet.paths import ROOT, shown
from fleet.terraform import program
from fleet.vms import public_keys

SETUP = "`scripts/setup_venv.sh terraform,ansible`, then run it with .venv/bin/python"
LITTLE, FEW = 1 << 30, 5 << 30  # bytes free: too little for a provider and a state, and too little for long
MOST_SECONDS = 60  # that two clocks may differ
_MODULES = {"pyyaml": "yaml", "python-dotenv": "dotenv", "markdown-it-py": "markdown_it"}
_NAME = re.compile(r"[\w-]+")


def python() -> Line:
    return Line("Python", f"{platform.python_version()} ({shown(sys.executable)})", "3.11 or newer")


def imported() -> dict[str, str]:
    """What scripts and roles import, with why one cannot be, or "". Ansible has a line of its own.

    It is called before the checks begin: several threads that import one package at a time can meet it half done.
    """
    about = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = about["optional-dependencies"]
    wanted = [*about["dependencies"], *extras["terraform"], *extras["ansible"]]
    names = sorted({_NAME.match(text)[0] for text in wanted} - {"ansible", "ansible-core"})
    return {name: _unusable(name) for name in names}


def packages(names: Mapping[str, str]) -> Line:
    """`names`: what `imported` found."""
    locked = _locked()
    if problems := [problem for problem in names.values() if problem]:
        return red("packages", "; ".join(problems), f"{len(names)} packages that can be imported", SETUP)
    other = [
        f"{name} {has}, locked is {locked[name]}"
        for name in names
        if (has := importlib.metadata.version(name)) != locked.get(name, has)
    ]
    if other:
        return warning("packages", listed(other, 5), "the versions in constraints.txt", SETUP)
    return Line("packages", f"{len(names)} at their locked versions", "the versions in constraints.txt")


def _locked() -> dict[str, str]:
    text = (ROOT / "constraints.txt").read_text("utf-8")
    return dict(re.findall(r"^([\w.-]+)==(\S+)", text, re.M))


def _unusable(name: str) -> str:
    module = _MODULES.get(name, name.replace("-", "_"))
    try:
        importlib.import_module(module)
    except ImportError as error:
        return f"{name} is missing" if error.name == module else f"{name} cannot be imported: {error}"
    return ""


def git() -> Line:
    return _program("Git", ["git", "--version"], r"\d[\d.]+", red, "install git, as `apt install git`")


def ssh() -> Line:
    mend = "install an SSH client, as `apt install openssh-client`; only plays on machines and snippets by SSH need it"
    return _program("SSH client", ["ssh", "-V"], r"OpenSSH_[\w.]+", warning, mend)


def _program(name: str, argv: list[str], version: str, missing: Callable[..., Line], mend: str) -> Line:
    if not shutil.which(argv[0]):
        return missing(name, f"{argv[0]} is not on PATH", "any version", mend)
    done = subprocess.run(argv, capture_output=True, encoding="utf-8", errors="replace", check=False)
    found = re.search(version, done.stdout + done.stderr)
    return Line(name, found[0] if found else "of an unknown version", "any version")


def terraform() -> Line:
    wanted = "Terraform or OpenTofu, 1.9 or newer, not 2.0"
    try:
        return Line("Terraform", program.version(), wanted)
    except Fault as fault:
        found, _, mend = str(fault).partition("; ")
        return red("Terraform", found, wanted, mend or program.INSTALL)


def ansible() -> Line:
    wanted = "ansible-playbook, at the version in constraints.txt"
    try:
        path, has = command("ansible-playbook"), importlib.metadata.version("ansible-core")
    except (Fault, importlib.metadata.PackageNotFoundError):
        return red("Ansible", "not installed", wanted, SETUP)
    locked = _locked().get("ansible-core", has)
    found = f"{has} ({shown(path)})"
    return Line("Ansible", found, wanted) if has == locked else warning("Ansible", found, f"{locked}", SETUP)


def authorized_keys() -> Line:
    name, wanted = "public keys", "one key on each line, which new machines get"
    given = os.environ.get("VM_SSH_KEYS_FILE")
    path = Path(given) if given else paths.AUTHORIZED_KEYS
    keys, findings = public_keys.read(path)
    if findings:
        return red(name, findings[0].text(), wanted, f"correct the line in {shown(path)}")
    if not keys:
        mend = f"`cat ~/.ssh/id_ed25519.pub >>{shown(path)}`"
        return warning(name, f"{shown(path)} has none", wanted, mend)
    return Line(name, f"{len(keys)} in {shown(path)}", wanted)


def space() -> Line:
    free, wanted = shutil.disk_usage(ROOT).free, "5 GiB free"
    found = f"{free / 2**30:.1f} GiB free"
    if free >= FEW:
        return Line("disk space", found, wanted)
    mend = f"`make clean CACHE=1`, or free space in {ROOT}"
    return (red if free < LITTLE else warning)("disk space", found, wanted, mend)


def clock(offsets: dict[str, float | None]) -> Line:
    """`offsets`: by service, how many seconds its clock is ahead of this computer's; None where it did not say."""
    known = {name: seconds for name, seconds in offsets.items() if seconds is not None}
    if not known:
        return skipped("clock", "not asked: no service answered whose clock it could be compared with")
    wanted = f"within {MOST_SECONDS} s of {' and '.join(known)}"
    far = {name: seconds for name, seconds in known.items() if abs(seconds) > MOST_SECONDS}
    if not far:
        return Line("clock", f"{max(map(abs, known.values())):.0f} s off at most", wanted)
    said = [
        f"{abs(seconds):.0f} s {'behind' if seconds > 0 else 'ahead of'} {name}"
        for name, seconds in far.items()
    ]
    mend = "`timedatectl set-ntp true` on this computer or on the other one, whichever is wrong"
    return red("clock", "; ".join(said), wanted, mend)
