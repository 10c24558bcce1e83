"""Machines whose file is gone: kept as last committed until a commit approves their removal."""

from pathlib import Path
from typing import NamedTuple

from fleet import paths
from fleet.findings import Finding
from fleet.git import deleted
from fleet.vms import addresses
from fleet.vms import files as vms


class Kept(NamedTuple):
    """A machine whose file is gone without an approval; `commit` removed it, None: not committed yet."""

    vm: vms.VM
    commit: str | None


def read_back(vms_dir: Path, names: list[str]) -> tuple[dict[str, Kept], list[Finding]]:
    """Read back the files of machines that Terraform has and vms/ has no more."""
    kept, findings = {}, []
    for name in names:
        path = vms_dir / f"{name}.yaml"
        last = deleted.last_committed(path)
        vm, wrong = vms.load_text(paths.shown(path), last.text) if last else (None, [])
        findings += wrong
        if vm is None or last is None:
            message = (
                f"Terraform has {name}, but neither vms/ nor the history fetched here has its file; fetch the"
                f" whole history, put the file back, or say [destroy {name}] in a commit"
            )
            findings.append(Finding(message, paths.shown(path)))
            continue
        kept[name] = Kept(vm, last.commit)
    return kept, findings


def unapproved(entry: Kept, level: str = "warning") -> Finding:
    name = entry.vm.name
    message = (
        f"the file is gone, but no commit approved the removal of {name}: the machine stays as last"
        f" committed; say [destroy {name}] in a commit to remove it, or put the file back"
    )
    return Finding(message, entry.vm.path, level=level)


def clashes(present: dict[str, vms.VM], kept: dict[str, vms.VM]) -> list[Finding]:
    """A new machine may not have the address of one that is still there though its file is gone."""
    findings = []
    for name, gone in kept.items():
        held = set(_addresses(gone))
        for vm in present.values():
            for address in held.intersection(_addresses(vm)):
                message = (
                    f"{address} is still held by {name}, whose file is gone but whose removal no commit"
                    f" approved; say [destroy {name}] in a commit, or choose another address"
                )
                findings.append(Finding(message, vm.path, *vm.lines.get("ipconfig0", (0, 0))))
    return findings


def _addresses(vm: vms.VM) -> list[str]:
    found = addresses.parse(vm.data.get("ipconfig0") or "")[0]
    fixed = [str(interface.ip) for interface in (found.ip, found.ip6) if interface]
    return [*fixed, *filter(None, [str((vm.data.get("network") or {}).get("macaddr") or "").upper()])]
