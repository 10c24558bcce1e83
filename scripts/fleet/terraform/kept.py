"""Machines whose file is gone: they stay as last committed until a commit approves their removal."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from fleet import paths
from fleet.findings import Finding
from fleet.git import deleted
from fleet.vms import files, rules
from fleet.vms.machine import Machine, machine


class Kept(NamedTuple):
    """A machine whose file was removed without an approval; `commit` removed it, None: not committed yet."""

    machine: Machine
    commit: str | None


def read_back(vms_dir: Path, names: list[str]) -> tuple[dict[str, Kept], list[Finding]]:
    """Read the files of machines that Terraform has and vms/ no longer has from the history."""
    kept, findings = {}, []
    for name in names:
        path = vms_dir / f"{name}.yaml"
        last = deleted.last_committed(path)
        vm, wrong = files.load_text(paths.shown(path), last.text) if last else (None, [])
        if vm:  # nobody has to have validated it: the file may have come and gone in one push
            wrong += rules.check(vm, wrong)
        findings += wrong
        if vm is None or last is None:
            message = (
                f"Terraform has {name}, but its file is neither in vms/ nor in the history that was fetched; fetch"
                f" the whole history, restore the file, or commit with [destroy {name}]"
            )
            findings.append(Finding(message, paths.shown(path)))
        elif not any(finding.level == "error" for finding in wrong):
            kept[name] = Kept(machine(vm), last.commit)
    return kept, findings


def unapproved(entry: Kept, level: str = "warning") -> Finding:
    """What to report of a kept machine, with the two ways out."""
    name = entry.machine.name
    message = (
        f"the file was removed, but no commit approves removing {name}, so the machine stays as last committed;"
        f" commit with [destroy {name}] to remove it, or restore the file"
    )
    return Finding(message, entry.machine.path, level=level)


def clashes(present: Mapping[str, Machine], kept: Mapping[str, Kept]) -> list[Finding]:
    """Machines of vms/ that claim the address of one that still runs though its file is gone."""
    findings = []
    for name, entry in kept.items():
        held = set(_addresses(entry.machine))
        for one in present.values():
            for address in held.intersection(_addresses(one)):
                message = (
                    f"{address} is still used by {name}: its file was removed, but no commit approves removing the"
                    f" machine; commit with [destroy {name}], or choose another address"
                )
                findings.append(one.finding("ipconfig0", message))
    return findings


def _addresses(one: Machine) -> list[str]:
    fixed = [str(interface.ip) for interface in one.ipconfig0.interfaces]
    return [*fixed, *filter(None, [one.network.macaddr])]
