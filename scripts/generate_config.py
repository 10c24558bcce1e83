#!/usr/bin/env python3
"""Write what `.env` configures: the machines for `make deploy` and the nodes that are reached by SSH.

Reads `.env` (or the file that PROXMOX_GITOPS_ENV names). Writes proxmox/vars/vm_config.yml, with each machine as the
variables of the role proxmox_vm, and proxmox/inventory.ini, which has Proxmox's nodes where PROXMOX_SNIPPETS is ssh.
Neither has a secret in it. A file is written only if it changes, and never if somebody else wrote it.
Exit codes: 0 written or unchanged, 1 `.env` has mistakes and nothing is written, or --check found a difference,
2 wrong usage or a file that cannot be used.
"""

import difflib
from pathlib import Path

from fleet import cli, dotenv, paths
from fleet.config import example, generated, machines
from fleet.config.entries import Entries
from fleet.files import write_text
from fleet.findings import Fault, guarded, report
from fleet.paths import shown
from fleet.proxmox import ids
from fleet.snippets import settings
from fleet.variables import MACHINES, SNIPPETS


def _texts(folder: Path, said: Entries) -> dict[Path, str]:
    """Each file's text."""
    found = machines.read(said, ids.TEMPLATES)
    snippets, problems = settings.parse(said.given)
    for name, message in problems:
        said.wrong(name, message)
    hosts = snippets.hosts if snippets.mode == "ssh" else {}
    return {
        folder / "vars/vm_config.yml": generated.vm_config(found),
        folder / "inventory.ini": generated.inventory(snippets.user, hosts),
    }


@guarded
def main(argv: list[str] | None = None) -> int:
    parser = cli.parser(__doc__, f"variables of .env:\n{example.help_of(MACHINES, SNIPPETS)}")
    folder = f"folder of the files (default: {shown(paths.PROXMOX_DIR)})"
    parser.add_argument("--dir", type=Path, default=paths.PROXMOX_DIR, help=folder)
    parser.add_argument("--check", action="store_true", help="show what would change and write nothing")
    cli.add_format(parser)
    options = parser.parse_args(argv)
    path = dotenv.file()
    if not path.exists() and not path.is_symlink():
        raise Fault("does not exist; `cp .env.example .env`, then fill it in", shown(path))
    entries, findings = dotenv.examine(path)
    said = Entries(entries, path)
    texts = _texts(options.dir, said)
    findings += sorted(said.findings, key=lambda finding: (finding.path != shown(path), finding.line))
    if findings:
        return report(findings, options.format)
    before = {file: generated.current(file) for file in texts}
    for file, text in texts.items():
        if options.check:
            lines = [one.splitlines(keepends=True) for one in (before[file], text)]
            print("".join(difflib.unified_diff(*lines, shown(file), shown(file))), end="")
        else:
            file.parent.mkdir(exist_ok=True)
            write_text(file, text)
        print(f"{shown(file)}: {_done(before[file] != text, options.check)}")
    return int(options.check and before != texts)


def _done(changes: bool, check: bool) -> str:
    if not changes:
        return "unchanged"
    return "would be written" if check else "written"


if __name__ == "__main__":
    raise SystemExit(main())
