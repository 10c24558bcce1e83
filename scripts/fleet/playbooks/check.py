"""Everything that a playbook must hold to: all of it before a merge, the part that is quick before a run."""

import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from fleet.ansible import command as ansible
from fleet.files import temporary
from fleet.findings import Fault, Finding, printable
from fleet.paths import shown
from fleet.playbooks import hosts, names, needs, reading, tasks

LIMIT = 120  # seconds for Ansible to read one playbook
# Ansible's words about a place: `Origin: /file:3:5`, or from older versions `in '/file': line 3, column 5`.
_PLACE = re.compile(
    r"Origin: (?P<file>/\S+?):(?P<line>\d+)(?::(?P<col>\d+))?|'(?P<old>/[^']+)': line (\d+), column (\d+)"
)


def before_run(file: Path) -> list[Finding]:
    """Why a playbook must not be started: machines that nobody named, or something that it needs and a run lacks."""
    return hosts.check(file) or needs.lacking(file)


def check_folder(folder: Path, only: Iterable[str] = ()) -> tuple[list[Path], list[Finding]]:
    """The playbooks of a folder, or those with the names of `only`, and what is wrong with them."""
    if not folder.is_dir():
        raise Fault(f"{shown(folder)} is not a folder; name the folder of playbooks", code=2)
    found = names.custom(folder)
    findings = [] if only else names.check(folder)
    if only:
        wanted = set(only)
        if missing := sorted(wanted - {file.stem for file in found}):
            there = ", ".join(file.stem for file in found) or "none"
            raise Fault(f"{', '.join(missing)}: no such playbook; there are: {there}", code=2)
        found = [file for file in found if file.stem in wanted]
    sound = []
    for file in found:
        wrong = without_ansible(file)
        findings += wrong
        sound += [] if wrong else [file]
    # One call for all of them, which is as quick as one for a single file; it ends at the first that is wrong.
    if sound and syntax(sound):
        findings += [problem for file in sound for problem in syntax([file])]
    return found, findings


def without_ansible(file: Path) -> list[Finding]:
    """What is wrong with one playbook, as far as its file and those of its roles say."""
    document, findings = reading.read(file)
    if not document:
        return findings
    try:
        return [*needs.read(document.text, document.path)[1], *hosts.check(file), *tasks.check(file)]
    except RecursionError:  # an alias inside what it stands for
        return [Finding("is nested too deeply", shown(file))]


def syntax(files: list[Path]) -> list[Finding]:
    """What `ansible-playbook --syntax-check` says, without an inventory and without anybody's configuration."""
    file = files[0]
    with temporary("syntax-") as folder:
        config = folder / "ansible.cfg"
        config.write_text(f"[defaults]\nroles_path = {file.parent.resolve() / 'roles'}\n", "utf-8")
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
        environment |= ansible.LOCALE | {"ANSIBLE_CONFIG": str(config), "ANSIBLE_NOCOLOR": "1"}
        argv = [ansible.command("ansible-playbook"), *(str(one.resolve()) for one in files), "--syntax-check"]
        argv += ["-i", "host,", "-e", f"{hosts.TARGETS}=host"]
        try:
            done = subprocess.run(
                argv,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=LIMIT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return [Finding(f"ansible-playbook --syntax-check has not ended after {LIMIT} s", shown(file))]
    return [_finding(file, done.stderr)] if done.returncode else []


def _finding(file: Path, said: str) -> Finding:
    problem = said[said.find("ERROR") :] if "ERROR" in said else said
    path, line, col = shown(file), 0, 0
    if place := _PLACE.search(problem):
        path = shown(place["file"] or place["old"])
        line, col = int(place["line"] or place[5] or 0), int(place["col"] or place[6] or 0)
    first = re.split(r"\n\s*\n|Origin:", re.sub(r"^\[?ERROR[\]!]*:?\s*", "", problem), maxsplit=1)[0]
    return Finding(printable(f"Ansible refuses it: {' '.join(first.split())[:500]}"), path, line, col)
