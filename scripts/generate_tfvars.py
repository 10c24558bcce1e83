#!/usr/bin/env python3
"""Write Terraform's input from the VM files: proxmox/vms/*.yaml to proxmox/vms.auto.tfvars.json.

For machines that are renamed it writes proxmox/renamed.tf.json too, and else removes that.

Reads the VM files, proxmox/authorized_keys, Terraform's state and, unless --offline, Proxmox (read only).
Chooses VMIDs, takes over what an interrupted apply left in Proxmox, and keeps a machine whose file was
removed as last committed until a commit says `[destroy NAME]`. Reports what was not checked.
Exit codes: 0 written (or unchanged), 1 errors and nothing written, 2 wrong usage or a service out of reach.
"""

from pathlib import Path

from fleet import cli, dotenv, paths
from fleet.console import note
from fleet.findings import Fault, guarded, report
from fleet.proxmox import client as proxmox
from fleet.steps.tfvars import Sources, build
from fleet.tags import requests_file
from fleet.terraform import command as terraform
from fleet.terraform import kept, renamed, state


@guarded
def main(argv: list[str] | None = None) -> int:
    parser = cli.parser(__doc__)
    option = parser.add_argument
    option("--vms-dir", type=Path, default=paths.VMS_DIR, help="folder of VM files")
    option("--authorized-keys", type=Path, default=paths.AUTHORIZED_KEYS, help="the fleet's public keys")
    option("--output", type=Path, default=paths.TFVARS, help="where to write")
    option("--state", type=Path, help="what `terraform state pull` printed (default: it is called)")
    requests_file.add_options(parser)
    option("--offline", action="store_true", help="do not ask Proxmox; report what is not checked")
    args = parser.parse_args(argv)
    dotenv.load()
    try:
        folder = args.output.parent
        text = (
            args.state.read_text("utf-8") if args.state else terraform.pull_state(folder, quiet=args.offline)
        )
    except Fault:
        if not args.offline:
            raise
        text = None
    approved = requests_file.approvals(args).destroy
    recorded = state.parse(text or "", paths.shown(args.state) if args.state else "state")
    names = renamed.read(args.vms_dir, recorded, approved)
    client = None if args.offline else proxmox.connect()
    made = build(Sources(args.vms_dir, args.authorized_keys, args.output), names.have, approved, client)
    said = made.findings + (names.findings if text is not None else [])
    if report(said + [kept.unapproved(entry) for entry in made.kept.values()]):
        return 1
    changed = renamed.write(args.output, made.values, names.moves)
    count = len(made.values["vms"])
    what = f"{count} machine{'s' * (count != 1)}, {'written' if changed else 'unchanged'}"
    print(f"{paths.shown(args.output)}: {what}")
    if text is None:
        note("not read: Terraform's state; VMIDs come from the files and the earlier input, or are new")
    if args.offline:
        note("not checked, since offline: free VMIDs, templates, images, nodes, storages, bridges, orphans")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
