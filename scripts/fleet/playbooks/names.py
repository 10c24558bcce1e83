"""What a playbook may be called, so that a tag can ask for it and means nothing else."""

from pathlib import Path

from fleet.ansible.queue import NAME
from fleet.findings import Finding
from fleet.names import KINDS, OF_PROXMOX, RESERVED, tag_playbook_of
from fleet.paths import shown

LATER = ("NAME", "MACHINE", "PLAYBOOK", "HOST", "X")  # what a tag in documentation has, which is no request
OURS = {name for kind in KINDS for name in (kind.playbook, kind.tag_playbook) if name}


def problem_of(name: str) -> str:
    """Why a playbook cannot have this name, without .yml; "" if it can."""
    if not NAME.fullmatch(name):
        return (
            f"{name!r} cannot stand in a tag: use letters, digits, - and _, beginning with a letter or digit"
        )
    if name in LATER:
        return f"[ansible {name}] is documentation and never read; choose another name"
    if name in RESERVED:
        return f"{name} means something else to Ansible; choose another name"
    if tag_playbook_of(name) and name not in OURS:
        return f"[ansible {name}] would no longer mean the machine {name}, which may be called so; choose another name"
    return ""


def check(folder: Path) -> list[Finding]:
    """Names of a folder's files with which no tag finds them."""
    findings = []
    for file in sorted(folder.iterdir()):
        if file.suffix in (".yml", ".yaml") and file.is_file():
            problem = problem_of(file.stem)
            if file.suffix == ".yaml":
                problem = f"is not read, because playbooks end in .yml; rename it to {file.stem}.yml"
            if problem:
                findings.append(Finding(problem, shown(file)))
    return findings


def custom(folder: Path) -> list[Path]:
    """The playbooks of a folder that run on machines. Those that only ask Proxmox have rules of their own."""
    return sorted(file for file in folder.glob("*.yml") if file.stem not in OF_PROXMOX)
