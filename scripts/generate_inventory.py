#!/usr/bin/env python3
"""Write the Ansible inventory of the machines that the role proxmox_vm made.

Asks Proxmox for the machines with the tag `ansible` that are the role's, and the guest agents of those on DHCP for
their addresses. A machine that does not tell its address keeps its line, with a warning. A line goes only when Proxmox
says that the machine is gone or no longer belongs to the role. An address that another machine, a VM file or k8s.ini
has is not written, and both are named; nor is a machine with the name of a host or group of k8s.ini. Where a machine is
met for the first time, its SSH host keys are recorded once cloud-init is done; Ansible talks to no machine that shows
others.
Reads: Proxmox's API (PROXMOX_VE_ENDPOINT and PROXMOX_VE_API_TOKEN, from the environment or .env), the VM files,
k8s.ini. Writes: inventory-vms.ini, and inventory-vms.known_hosts beside it, each only when it changes.
Exit codes: 0 written or unchanged; 1 a machine that runs has no line or no host keys, and why, or the file is
somebody else's; 2 wrong usage, or Proxmox does not answer, and nothing is written.
"""

import functools
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from fleet import cli, processes
from fleet.addresses import inventory, lines
from fleet.addresses.inventory import Now, Role
from fleet.addresses.lines import Line
from fleet.addresses.machines import Machine
from fleet.ansible.inventory import Inventory, parse
from fleet.files import read_text, write_text
from fleet.findings import Fault, Finding, guarded, report
from fleet.hosts import known_hosts, readiness, ssh
from fleet.lifecycle import owner
from fleet.paths import INVENTORY, PROXMOX_DIR, VMS_DIR, shown
from fleet.proxmox.client import Client, connect
from fleet.rules import taken
from fleet.vms.files import load_dir

FILE = PROXMOX_DIR / "inventory-vms.ini"
SSH_TIMEOUT = 60  # a machine that tells its address has booted


def _made(fleet: Inventory, machine: Machine) -> bool:
    """Raises Fault for a name of the fleet's inventory: with both, a play on that host would reach this machine."""
    found = owner.owner(machine.config, machine.guest.tags)
    owner.refuse_unfinished(found, machine.name)
    if found.role and machine.name in {*fleet.variables(), *fleet.members(), *fleet.children}:
        raise Fault(f"{shown(INVENTORY)} has a host or a group of that name; rename one of them")
    return found.role


def _taken(client: Client, fleet: Inventory) -> dict[str, str]:
    """The addresses of the fleet and of Proxmox, each with whose it is."""
    files, _ = load_dir(VMS_DIR)
    hosts = {
        host.address: f"that of {host.pattern} ({shown(INVENTORY)}:{host.line + 1})"
        for host in fleet.hosts
        if host.address
    }
    api = {urlsplit(client.url).hostname or "": "that of Proxmox's API (PROXMOX_VE_ENDPOINT)"}
    return hosts | taken.addresses(files.values()) | api


def _learn(
    found: Now, before: Mapping[int, Line], record: Path, seconds: tuple[float, float]
) -> list[Finding]:
    """Bring the record of host keys up to the lines, and say which machines are not in it."""
    text = read_text(record)
    unmet = {
        vmid: line
        for vmid, line in found.lines.items()
        if not known_hosts.knows(text, line.name, line.address, line.instance)
    }
    targets = [
        ssh.Target(line.name, line.address, user=line.user, instance=line.instance)
        for vmid, line in unmet.items()
        if vmid in found.running
    ]
    with processes.exit_on_signals(), ssh.private_key() as key_file:
        met = readiness.scan(targets, text, key_file, *seconds) if targets else {}
    now = read_text(record)  # another run may have written it meanwhile
    gone = {line.name for line in before.values()} - {line.name for line in found.lines.values()}
    after, outcomes = readiness.learned(known_hosts.without(now, gone), met)
    if after != now:
        write_text(record, after)
    findings = [Finding(f"{name}: {_way_out(message)}") for name, ready, message, _ in outcomes if not ready]
    for line in (line for vmid, line in unmet.items() if vmid not in found.running):
        message = (
            f"{line.name}: its host keys are not known, and it does not run; run this again once it does"
        )
        findings.append(Finding(message, level="warning"))
    return findings


def _way_out(message: str) -> str:
    key = "the key to log in with is that of ANSIBLE_PRIVATE_KEY_FILE, of your SSH agent or of ~/.ssh"
    return f"{message}; {key}" if "Permission denied" in message else message


def _changes(before: Mapping[int, Line], after: Mapping[int, Line]) -> list[str]:
    told = [f"removed: {before[vmid].name}" for vmid in before if vmid not in after]
    for vmid, line in after.items():
        old = before.get(vmid)
        if not old:
            told.append(f"added: {line.name} ({line.address})")
        elif (old.name, old.address, old.user) != (line.name, line.address, line.user):
            told.append(f"changed: {line.name} ({line.address}; before: {old.name}, {old.address})")
    return sorted(told)


@guarded
def main(argv: list[str] | None = None) -> int:
    parser = cli.parser(__doc__)
    text = f"default: {shown(FILE)}; the record is beside it"
    parser.add_argument("--inventory", type=Path, default=FILE, metavar="FILE", help=text)
    wait = "seconds to wait for SSH of a machine that was never met (default: %(default)s)"
    parser.add_argument("--timeout", type=float, default=SSH_TIMEOUT, metavar="S", help=wait)
    args = parser.parse_args(argv)
    file, record = args.inventory, args.inventory.with_suffix(".known_hosts")
    before = lines.read(read_text(file), shown(file))
    client, fleet = connect(), parse(read_text(INVENTORY))
    role = Role(owner.TAG, functools.partial(_made, fleet))
    found = inventory.now(client, before, role, _taken(client, fleet))
    new = write_text(file, lines.render(found.lines, record.name))
    for line in _changes(before, found.lines):
        print(line)
    print(f"{'written' if new else 'unchanged'}: {shown(file)}")
    code = report(found.findings)
    times = (args.timeout, readiness.CLOUD_INIT_TIMEOUT)
    return report(_learn(found, before, record, times)) or code


if __name__ == "__main__":
    raise SystemExit(main())
