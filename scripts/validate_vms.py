#!/usr/bin/env python3
"""Check VM files, each by itself and all against each other, and report everything that is wrong in one run.

Reads proxmox/vms/*.yaml, proxmox/authorized_keys, schemas/vm.schema.json, the names of the playbooks and, if it
is beside vms/, the inventory, because addresses of hosts written by hand are taken. Writes nothing. Files given as
arguments (as pre-commit does) are the only ones reported on, but they are checked against all others.
Exit codes: 0 valid (there may be warnings), 1 errors, 2 wrong usage.
"""

import sys
from pathlib import Path

from fleet import cli, paths
from fleet.findings import Fault, guarded, report
from fleet.steps.validate import check_folder
from fleet.vms import public_keys

HOME = paths.VMS_DIR.parts[-2:]


def _folders(files: list[Path], vms_dir: Path | None) -> dict[Path, set[str] | None]:
    """Each folder with the names of the files to report on; None: all."""
    if not files:
        return {vms_dir or paths.VMS_DIR: None}
    folders: dict[Path, set[str] | None] = {}
    for file in files:
        if not file.exists() and not file.is_symlink():
            raise Fault(f"{file} does not exist", code=2)
        if file.is_dir() and file.suffix != ".yaml":
            raise Fault(f"{file} is a folder; pass it as --vms-dir {file}", code=2)
        if vms_dir and file.resolve().parent != vms_dir.resolve():
            raise Fault(f"{file} is not in {vms_dir}; pass only files of that folder", code=2)
        if file.name.startswith(".") or file.suffix.lower() not in (".yaml", ".yml"):
            raise Fault(f"{file} is not a VM file; pass only files called <name>.yaml", code=2)
        # A file below a folder of proxmox/vms is a finding there, and no folder of VM files of its own.
        home = next((path for path in file.parents if path.parts[-2:] == HOME), file.parent)
        folders.setdefault(vms_dir or home, set()).add(str(file.relative_to(home)))
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
