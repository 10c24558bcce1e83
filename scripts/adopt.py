#!/usr/bin/env python3
"""Write VM files for guests that exist in Proxmox, so that the next apply takes them over as they are.

Reads Proxmox (nothing is changed there), proxmox/vms, the playbooks' names and the inventory; writes
proxmox/vms/NAME.yaml for each guest that is meant. A file says all that a VM file can say of its guest; a guest
that has more is refused unless --partial, with which that part stays as it is in Proxmox. A file that is there is
never changed. Look at the files, run `make plan`, and commit them without a tag: an adopted machine is not queued
for a playbook.
Exit codes: 0 all files are there, 1 a guest was refused (the other files are written), 2 wrong usage or Proxmox
out of reach.
"""

import argparse
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from fleet import cli, names, paths
from fleet.adopt import choose, conflicts, report
from fleet.adopt.candidate import Candidate, candidate
from fleet.console import note
from fleet.files import write_text
from fleet.findings import Finding, guarded
from fleet.findings import report as tell
from fleet.proxmox import client as proxmox
from fleet.proxmox import ha
from fleet.proxmox.client import Client, Guest, Refused
from fleet.rules import between
from fleet.steps.validate import taken_by_hand
from fleet.vms import files
from fleet.vms.files import VM

PROGRESS = 25  # guests between two lines that say how far it is


def _read(
    client: Client, guests: Collection[Guest], cluster: Collection[Guest], vms: Mapping[str, VM], folder: str
) -> Iterator[Candidate]:
    """The candidates, with one question to Proxmox for each guest and one for each node."""
    storages: dict[str, Collection[str] | None] = {}
    services = ha.settings(client) if any(guest.ha for guest in guests) else {}
    for count, guest in enumerate(guests):
        if count and count % PROGRESS == 0:
            note(f"{count} of {len(guests)} guests read")
        label = f"{folder}/{guest.name}.yaml"
        if reason := choose.problem(guest, cluster):
            yield Candidate(guest, label, refused=[reason])
            continue
        try:
            if guest.node not in storages:
                storages[guest.node] = client.storages(guest.node)
            config = client.config(guest.node, guest.vmid)
        except Refused as error:
            if error.status == 401:
                raise
            yield Candidate(guest, label, refused=[f"cannot be read: {error}"])
            continue
        if lock := config.get("lock"):
            yield Candidate(guest, label, refused=[choose.locked(lock)])
            continue
        service = (services or {}).get(guest.vmid)
        yield candidate(guest, config, cluster, vms, storages[guest.node], folder, service)


def _checked(found: list[Candidate], vms: Mapping[str, VM], vms_dir: Path) -> list[Candidate]:
    """The candidates held against the files that are there, and against each other."""
    unread = {path.stem for path in vms_dir.glob("*.yaml")} - vms.keys()
    found = conflicts.settled(found, vms, unread)
    new = {one.label: one.vm for one in found if one.vm and not (one.managed or one.refused)}
    everyone = [*vms.values(), *new.values()]
    playbooks = names.playbook_names(vms_dir.parent / "playbooks")
    findings = between.check(everyone, playbooks, set(new))
    findings += taken_by_hand(everyone, vms_dir.parent / paths.INVENTORY.name, set(new))
    return conflicts.with_findings(found, findings)


def _finish(one: Candidate, vms_dir: Path, partial: bool, dry_run: bool) -> tuple[report.Row, list[Finding]]:
    """Write a candidate's file, if it gets one; what is to be said of it."""
    guest, found = one.guest, report.findings(one, partial)
    if one.managed:
        what, file = "unchanged", one.label
    elif any(finding.level == "error" for finding in found):
        what, file = "refused", ""
    else:
        what, file = ("would be written" if dry_run else "written"), one.label
        if dry_run:
            print(f"# {one.label}\n{one.text}")
        else:
            write_text(vms_dir / f"{guest.name}.yaml", one.text)
    return report.Row(guest.vmid, guest.name, guest.node, what, file), found


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = cli.parser(__doc__)
    option = parser.add_argument
    option("vmids", type=int, nargs="*", metavar="VMID", help="guests to adopt")
    option("--node", default="", help="adopt the guests of this node")
    option("--tag", default="", help="adopt the guests with this tag (with --node: of this node)")
    option("--all", action="store_true", help="adopt all guests that the token may see")
    option("--partial", action="store_true", help="also those with parts that no VM file says; these stay")
    option("--dry-run", action="store_true", help="print the files and write nothing")
    option("--vms-dir", type=Path, default=paths.VMS_DIR, help="folder of VM files")
    cli.add_format(parser)
    args = parser.parse_args(argv)
    if bool(args.vmids) + bool(args.node or args.tag) + args.all != 1:
        parser.error("give VMIDs, or --node and --tag, or --all")
    return args


@guarded
def main(argv: list[str] | None = None) -> int:
    args = _arguments(argv)
    vms, broken = files.load_dir(args.vms_dir)
    client = proxmox.connect()
    cluster = client.guests()
    chosen = choose.chosen(cluster, choose.Wanted(args.vmids, args.node, args.tag))
    rows = [
        report.Row(guest.vmid, guest.name, guest.node, f"skipped: {reason}")
        for guest in chosen
        if (reason := choose.skipped(guest))
    ]
    guests = [guest for guest in chosen if not choose.skipped(guest)]
    note(f"reading {len(guests)} guests")
    found = list(_read(client, guests, cluster, vms, files.label_of(args.vms_dir)))
    findings = [
        one._replace(message=f"{one.message}; what this file has is not compared", level="warning")
        for one in broken
        if one.level == "error"
        and one.path not in {files.label_of(args.vms_dir), *(vm.path for vm in vms.values())}
    ]
    for one in _checked(found, vms, args.vms_dir):
        row, told = _finish(one, args.vms_dir, args.partial, args.dry_run)
        rows.append(row)
        findings += told
    status = tell(findings, args.format)
    print(report.table(sorted(rows)))
    return status


if __name__ == "__main__":
    raise SystemExit(main())
