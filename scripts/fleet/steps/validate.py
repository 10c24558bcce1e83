"""Check a folder of VM files: each file by itself, and all of them against each other."""

from pathlib import Path

from fleet import names
from fleet.findings import Finding
from fleet.vms import between, files, rules
from fleet.vms.files import VM


def check_folder(
    vms_dir: Path, playbooks_dir: Path | None = None, only: set[str] | None = None
) -> tuple[dict[str, VM], list[Finding]]:
    """Read and check a folder of VM files: ({name: VM}, findings in the order of files and lines).

    `only`: names of the files to report on. Raises Fault (exit 2) for a folder that cannot be listed.
    """
    found, findings = files.load_dir(vms_dir)
    reported = None if only is None else {files.label_of(vms_dir / name) for name in only}
    by_file: dict[str, list[Finding]] = {}
    for finding in findings:
        by_file.setdefault(finding.path, []).append(finding)
    for vm in found.values():
        if reported is None or vm.path in reported:
            findings += rules.check(vm, by_file.get(vm.path, ()))
    playbooks = names.playbook_names(playbooks_dir or vms_dir.parent / "playbooks")
    findings += between.check(found.values(), playbooks, reported)
    if reported is not None:
        findings = [finding for finding in findings if finding.path in reported]
    return found, sorted(dict.fromkeys(findings), key=lambda found: (found.path, found.line, found.col))
