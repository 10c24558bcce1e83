"""Write the files of a new playbook, or none of them: what is there already is never overwritten."""

import os
import re
from pathlib import Path
from typing import NamedTuple

from fleet.files import write_text
from fleet.findings import Fault
from fleet.paths import shown
from fleet.playbooks import skeleton
from fleet.playbooks.names import problem_of

_NAME = re.compile(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*")
TAKEN = {
    "ansible",
    "environment",
    "groups",
    "hostvars",
    "inventory",
    "omit",
    "role",
    "vars",
}  # no beginning of variables


class Made(NamedTuple):
    written: list[Path]
    same: list[Path]  # as they would be written


def make(name: str, root: Path, dry: bool = False) -> Made:
    """The files of a new playbook below a repository's root; with `dry`, what would be written. Raises Fault.

    A run that was cut off is finished by the next: a file that is as it would be written counts as there.
    """
    _check(name)
    wanted = {root / path: text for path, text in skeleton.files(name).items()}
    same = [path for path, text in wanted.items() if _is(path, text)]
    left = [path for path in wanted if path not in same]
    # Where the playbook is somebody's already, so is what stands in its place.
    if taken := [path for path in left if os.path.lexists(path)]:
        there = ", ".join(map(shown, taken))
        raise Fault(
            f"{there} exists and is kept, and nothing was written; choose another name, or move it away"
        )
    role = root / "proxmox/playbooks/roles" / skeleton.role_of(name)
    strange = [path for path in sorted(role.rglob("*")) if not path.is_dir() and path not in wanted]
    if strange and left:
        raise Fault(
            f"{shown(strange[0])} belongs to a role of this name; choose another name, or move the role away"
        )
    for path in left if not dry else ():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, wanted[path])
    return Made(left, same)


def _check(name: str) -> None:
    problem = problem_of(name)
    if not problem and (not _NAME.fullmatch(name) or len(name) > 40):
        problem = (
            f"{name!r}: use lower-case letters, digits and single - or _, beginning with a letter, at most 40"
        )
    if not problem and skeleton.role_of(name) in TAKEN:
        problem = f"{name} means something else to Ansible; choose another name"
    if problem:
        raise Fault(problem, code=2)


def _is(path: Path, text: str) -> bool:
    try:
        return not path.is_symlink() and path.read_bytes() == text.encode()
    except OSError:
        return False
