#!/usr/bin/env python3
"""Write Terraform's input from the VM files: proxmox/vms/*.yaml to proxmox/vms.auto.tfvars.json.

Reads the VM files, proxmox/authorized_keys, Terraform's state and, unless --offline, Proxmox (read only).
Chooses VMIDs, takes over what an interrupted apply left in Proxmox, and keeps a machine whose file was
removed as it was last committed until a commit says `[destroy NAME]`. Says what was not checked.
Exit codes: 0 written (or unchanged), 1 findings and nothing written, 2 wrong usage or a service out of reach.
"""

import json
import os
from pathlib import Path
from typing import Any

import validate_vms
from fleet import cli, paths
from fleet.console import note
from fleet.files import write_atomic
from fleet.findings import Fault, Finding, guarded, report
from fleet.proxmox import client as proxmox
from fleet.proxmox import ids as vmids
from fleet.proxmox import preflight
from fleet.tags import requests_file
from fleet.terraform import command as terraform
from fleet.terraform import kept as removed
from fleet.terraform import state, tfvars
from fleet.vms import files as vms
from fleet.vms import public_keys


def build(
    vms_dir: Path,
    keys_file: Path,
    target: Path,
    have: dict[str, state.StateMachine],
    approved: set[str] = frozenset(),
    client: proxmox.Client | None = None,
) -> tuple[dict[str, Any], dict[str, removed.Kept], list[Finding]]:
    """Terraform's input, the machines kept without a file, and what is wrong. `client` None: offline."""
    found, wrong = validate_vms.check_folder(vms_dir)
    keys, unusable = public_keys.read(keys_file)
    wrong += unusable
    findings = [finding for finding in wrong if finding.level == "error"]
    if findings:
        return {}, {}, findings
    present = {name: vm for name, vm in found.items() if vm.managed}
    kept, wrong = removed.read_back(vms_dir, sorted(set(have) - set(found) - approved))
    findings += wrong
    wanted = present | {name: entry.vm for name, entry in kept.items()}
    findings += removed.clashes(present, {name: entry.vm for name, entry in kept.items()})
    known = {name: machine.vmid for name, machine in have.items() if name in wanted}
    taken = {vm.data["vmid"]: name for name, vm in found.items() if not vm.managed and "vmid" in vm.data}
    taken |= {machine.vmid: f"{name} (Terraform's state)" for name, machine in have.items()}
    imports: dict[str, proxmox.Machine] = {}
    new = {name: vm for name, vm in wanted.items() if name not in have}
    if client:
        cluster = client.machines()
        taken |= {machine.vmid: f"{machine.name or 'a machine'} on {machine.node}" for machine in cluster}
        imports, wrong = preflight.orphans(client, cluster, new)
        new = {name: vm for name, vm in new.items() if name not in imports}
        findings += wrong + preflight.needs(client, cluster, new)
        known |= {name: machine.vmid for name, machine in imports.items()}
    else:
        known = _before(target, wanted) | known
    ids, wrong = vmids.choose(wanted, known, taken, client.is_free if client else lambda vmid: True)
    findings += wrong
    if any(finding.level == "error" for finding in findings):
        return {}, kept, findings
    machines = {}
    for name, vm in sorted(wanted.items()):
        if not vm.data.get("disks"):
            vm = vm._replace(data=vm.data | {"disks": _disks(vm, have.get(name), imports.get(name), client)})
        machines[name] = tfvars.machine(vm, ids[name], keys)
    result = {
        "vms": machines,
        "imports": {name: f"{machine.node}/{machine.vmid}" for name, machine in imports.items()},
        "source_hash": tfvars.source_hash(vms_dir, keys_file),
        "vms_dir": os.path.relpath(vms_dir, target.parent),
    }
    return result, kept, findings


def _before(target: Path, wanted: dict[str, vms.VM]) -> dict[str, int]:
    """VMIDs of the input that was written before; offline, nothing else remembers them."""
    try:
        return {
            name: vm["vmid"] for name, vm in json.loads(target.read_text())["vms"].items() if name in wanted
        }
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _disks(vm, have, orphan, client) -> dict[str, dict[str, Any]]:
    """The disks of a machine whose file names none: what it has, or what its template has."""
    if have:
        return have.disks
    source = orphan or (preflight.template_of(vm, client.machines())[0] if client else None)
    if source is None:
        raise Fault(
            "names no disks, so that its template's are needed, which an offline run cannot ask for", vm.path
        )
    return preflight.disks_of(client.config(source.node, source.vmid))


@guarded
def main(argv: list[str] | None = None) -> int:
    parser = cli.parser(__doc__)
    option = parser.add_argument
    option("--vms-dir", type=Path, default=paths.VMS_DIR, help="folder of VM files")
    option("--authorized-keys", type=Path, default=paths.AUTHORIZED_KEYS, help="the fleet's public keys")
    option("--output", type=Path, default=paths.TFVARS, help="where to write")
    option("--state", type=Path, help="what `terraform state pull` printed (default: it is called)")
    requests_file.add_options(parser)
    option("--offline", action="store_true", help="do not ask Proxmox; says what is not checked")
    args = parser.parse_args(argv)
    try:
        folder = args.output.parent
        text = args.state.read_text() if args.state else terraform.pull_state(folder, quiet=args.offline)
    except Fault:
        if not args.offline:
            raise
        text = None
    have = state.parse(text or "", paths.shown(args.state) if args.state else "state")
    approved = requests_file.approvals(args).destroy
    client = None if args.offline else proxmox.connect()
    result, kept, findings = build(args.vms_dir, args.authorized_keys, args.output, have, approved, client)
    findings += [removed.unapproved(entry) for entry in kept.values()]
    if report(findings):
        return 1
    changed = write_atomic(args.output, json.dumps(result, indent=2) + "\n")
    count = len(result["vms"])
    what = f"{count} machine{'s' * (count != 1)}, {'written' if changed else 'unchanged'}"
    print(f"{paths.shown(args.output)}: {what}")
    if text is None:
        note("not read: Terraform's state; VMIDs are those of the files, of the earlier input, or new")
    if args.offline:
        note("not checked, since offline: free VMIDs, templates, nodes, storages, bridges, orphans")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
