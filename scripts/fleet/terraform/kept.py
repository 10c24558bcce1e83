"""Machines whose file is gone: they stay as last committed until a commit approves their removal."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from fleet import paths
from fleet.findings import Finding
from fleet.git import deleted
from fleet.rules import file as rules
from fleet.terraform import recorded, state
from fleet.vms import files
from fleet.vms.machine import Machine, machine


class Kept(NamedTuple):
    """A machine whose file was removed without an approval; `commit` removed it, None: not committed yet.

    `source`: where the machine's values come from, as messages say it.
    """

    machine: Machine
    commit: str | None
    source: str = "last committed"


def read_back(vms_dir: Path, gone: Mapping[str, state.Resource]) -> tuple[dict[str, Kept], list[Finding]]:
    """The machines that Terraform has and vms/ no longer has; `gone`: what the state has of them.

    Each is as in the newest valid version of its file: nobody has to have validated one that came and went in a
    single push. Without a valid version a machine is as in the state, so that it blocks nobody else's push.
    """
    kept, findings = {}, []
    for name, resource in gone.items():
        path = vms_dir / f"{name}.yaml"
        recorded_one = recorded.machine(name, paths.shown(path), resource)
        entry, why = _newest_valid(path, resource, recorded_one)
        if entry is None and recorded_one:
            message = f"recorded in Terraform's state, because {why}"
            entry = Kept(recorded_one, _removal(path), message)
        if entry:
            kept[name] = entry
        else:
            message = (
                f"Terraform has {name}, but {why}; restore the file, fetch the whole history, or commit with"
                f" [destroy {name}]; if it has a new name, write `formerly: {name}` into its file"
            )
            findings.append(Finding(message, paths.shown(path)))
    return kept, findings


def _newest_valid(
    path: Path, resource: state.Resource, recorded_one: Machine | None
) -> tuple[Kept | None, str]:
    """The newest version of a file that passes its rules, or why there is none."""
    newest = ""
    for version in deleted.versions(path):
        vm, wrong = files.load_bytes(paths.shown(path), version.content)
        wrong += rules.check(vm, wrong) if vm else []
        problem = next((finding.message for finding in wrong if finding.level == "error"), "")
        if vm and not problem:
            source = (
                f"committed before the last version, which is invalid ({newest})"
                if newest
                else "last committed"
            )
            return Kept(_as_applied(machine(vm), resource, recorded_one), version.commit, source), ""
        newest = newest or problem
    if newest:
        return None, f"no version of its file in the history is valid ({newest})"
    return None, "its file is neither in vms/ nor in the history that was fetched"


def _removal(path: Path) -> str | None:
    newest = next(deleted.versions(path), None)
    return newest.commit if newest else None


def _as_applied(one: Machine, resource: state.Resource, recorded_one: Machine | None) -> Machine:
    """With the number, disks and addresses that the machine has.

    A version that was never applied may name others: those of another machine, or smaller disks, which the plan
    guard would refuse in everybody's pushes.
    """
    mounts = {disk.slot: disk.mount for disk in one.disks}
    disks = tuple(disk._replace(mount=mounts.get(disk.slot)) for disk in resource.disks)
    one = one._replace(vmid=resource.vmid, disks=disks or one.disks)
    if recorded_one:
        network = one.network._replace(macaddr=recorded_one.network.macaddr)
        config = recorded_one.ipconfig0
        one = one._replace(
            ipconfig0=config, address=one.address if config.automatic4 else None, network=network
        )
    return one


def unapproved(entry: Kept, level: str = "warning") -> Finding:
    """What to report of a kept machine, with the two ways out."""
    name = entry.machine.name
    message = (
        f"the file was removed, but no commit approves removing {name}, so the machine stays as {entry.source};"
        f" commit with [destroy {name}] to remove it, restore the file, or, if it has a new name, write"
        f" `formerly: {name}` into its file"
    )
    return Finding(message, entry.machine.path, level=level)


def held(entry: Kept, reason: str) -> Finding:
    """What to report of a machine that stays although a commit approves its removal."""
    name = entry.machine.name
    message = f"{name} is not removed: {reason}. It stays as {entry.source}; then say [destroy {name}] again"
    return Finding(message, entry.machine.path)


def clashes(present: Mapping[str, Machine], kept: Mapping[str, Kept]) -> list[Finding]:
    """Machines of vms/ that claim the address of one that still runs though its file is gone."""
    findings = []
    for name, entry in kept.items():
        held = set(_addresses(entry.machine))
        for one in present.values():
            for address in sorted(held.intersection(_addresses(one))):
                message = (
                    f"{address} is still used by {name}: its file was removed, but no commit approves removing the"
                    f" machine; commit with [destroy {name}], or choose another address. If this is {name} under a new"
                    f" name, write `formerly: {name}` into this file"
                )
                findings.append(one.finding("address" if address == one.address else "ipconfig0", message))
    return findings


def _addresses(one: Machine) -> list[str]:
    return [*one.addresses, *filter(None, [one.network.macaddr])]
