#!/usr/bin/env python3
"""Check VM files, each by itself and all against each other, and tell everything that is wrong in one run.

Reads proxmox/vms/*.yaml, proxmox/authorized_keys, schemas/vm.schema.json and the names of the playbooks;
writes nothing. Given files (as pre-commit does) are reported on alone, but checked against the others.
Exit codes: 0 all is well (warnings may be told), 1 findings, 2 wrong usage.
"""

import sys
from pathlib import Path

from fleet import cli, names, paths
from fleet.findings import Fault, Finding, guarded, report
from fleet.vms import between, public_keys, rules
from fleet.vms import files as vms


def check_folder(
    vms_dir: Path, playbooks_dir: Path | None = None, only: set[str] | None = None
) -> tuple[dict[str, vms.VM], list[Finding]]:
    """Read and check a folder of VM files: ({name: VM}, findings in the order of files and lines).

    `only`: names of the files to report on. Raises Fault (exit 2) for a folder that cannot be listed.
    """
    found, findings = vms.load_dir(vms_dir)
    reported = None if only is None else {vms.label_of(vms_dir / name) for name in only}
    asked = [vm for vm in found.values() if reported is None or vm.path in reported]
    by_file: dict[str, list[Finding]] = {}
    for finding in findings:
        by_file.setdefault(finding.path, []).append(finding)
    for vm in asked:
        findings += rules.check(vm, by_file.get(vm.path, ()))
    playbooks = names.playbook_names(playbooks_dir or vms_dir.parent / "playbooks")
    findings += between.check(found.values(), playbooks, reported)
    if reported is not None:
        findings = [finding for finding in findings if finding.path in reported]
    return found, sorted(
        dict.fromkeys(findings), key=lambda finding: (finding.path, finding.line, finding.col)
    )


def _folders(files: list[Path], vms_dir: Path | None) -> dict[Path, set[str] | None]:
    """Folder to the names in it that were asked about; None: all."""
    if not files:
        return {vms_dir or paths.VMS_DIR: None}
    folders: dict[Path, set[str] | None] = {}
    for file in files:
        if not file.exists() and not file.is_symlink():
            raise Fault(f"{file}: there is no such file", code=2)
        if file.is_dir() and file.suffix != ".yaml":
            raise Fault(f"{file} is a folder; give it as --vms-dir {file}", code=2)
        if vms_dir and file.resolve().parent != vms_dir.resolve():
            raise Fault(f"{file} is not in {vms_dir}; give files of that folder only", code=2)
        if file.name.startswith(".") or file.suffix.lower() not in (".yaml", ".yml"):
            raise Fault(f"{file} is not read as a VM file; give files called <name>.yaml only", code=2)
        folders.setdefault(vms_dir or file.parent, set()).add(file.name)
    return folders


@guarded
def main(argv: list[str] | None = None) -> int:
    parser = cli.parser(__doc__)
    option = parser.add_argument
    option("files", type=Path, nargs="*", metavar="FILE", help="VM files to report on (default: all)")
    option("--vms-dir", type=Path, help="folder of VM files (default: that of the files, else proxmox/vms)")
    option("--playbooks-dir", type=Path, help="folder of playbooks (default: playbooks beside vms)")
    cli.add_format(parser)
    args = parser.parse_args(argv)
    findings, count = [], 0
    for folder, only in _folders(args.files, args.vms_dir).items():
        found, wrong = check_folder(folder, args.playbooks_dir, only)
        findings += wrong
        if only is None:
            findings += public_keys.read(folder.parent / paths.AUTHORIZED_KEYS.name)[1]
        count += len(found) if only is None else len(only)
    # As JSON the findings are the answer.
    status = report(findings, args.format, sys.stdout if args.format == "json" else None)
    if status == 0 and args.format != "json":
        print(f"{count} VM file{'s' if count != 1 else ''}: valid")
    return status


if __name__ == "__main__":
    raise SystemExit(main())
