"""The role's own steps in check mode, by which a deployment knows what it will do, and what the role would refuse."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from fleet.deploy.wanted import Wanted, address_of
from fleet.lifecycle import create, finish, machine, options, verify
from fleet.lifecycle.machine import Found
from fleet.proxmox import disks, properties
from fleet.proxmox.change import Change
from fleet.proxmox.guest import Guest

NEW, CUT_OFF, THERE = "new", "is continued", "is there"


class Disk(NamedTuple):
    """`new`: bytes that the storage gives away for it; those of a linked clone are its template's."""

    slot: str
    storage: str
    mib: int
    new: int = 0


class Plan(NamedTuple):
    """What happens to one machine. `differences`: how one that is there is not as wanted, (now, wanted) by option."""

    wanted: Wanted
    vmid: int
    node: str
    origin: str
    what: str
    disks: tuple[Disk, ...] = ()
    differences: Mapping[str, tuple[str, str]] = {}

    @property
    def variables(self) -> dict[str, Any]:
        """The role's, with the VMID that was chosen."""
        return {**self.wanted.variables, "proxmox_vm_vmid": self.vmid}

    @property
    def row(self) -> tuple[object, ...]:
        address = address_of(self.wanted.spec) or "dhcp"
        return self.wanted.name, self.vmid, self.node, self.origin, _listed(self.disks), address, self.what


HEADS = ("machine", "VMID", "node", "made from", "disks", "address", "")


def of_there(change: Change, one: Wanted, found: Found) -> Plan:
    """A machine of the role that Proxmox has: compared, or continued. Raises Fault where that cannot be."""
    machine.refuse_template(found, "create")
    wanted, origin = one._replace(spec=one.spec._replace(vmid=found.guest.vmid)), found.owner.origin or "-"
    base = Plan(wanted, found.guest.vmid, found.guest.node, origin, THERE, _disks(found.config))
    if found.owner.finished:
        return base._replace(differences=verify.differing(found, one.spec))
    if found.config.get("lock") in machine.BUSY:  # of a creation that Proxmox goes on with
        return base._replace(what=CUT_OFF)
    added = finish.resize(change, wanted.spec, found, {}).after
    return base._replace(what=CUT_OFF, disks=_disks(found.config, added, {}))


def of_new(change: Change, one: Wanted, vmid: int, cluster: Sequence[Guest]) -> Plan:
    """A machine that is made. Raises Fault with the role's reason why it cannot be."""
    spec = one.spec._replace(vmid=vmid)
    if spec.image.url:
        facts = create.prepare(change, spec, cluster, {}).facts
        made = create.from_image(change, spec, cluster, facts)
    else:
        facts = {}
        made = create.clone(change, spec, cluster, {})
    known = {**facts, **made.facts}
    there = machine.planned(spec, known)
    if there is None:
        raise AssertionError("a check has planned the machine")
    grown = finish.resize(change, spec, there, known).after
    finish.configure(change, spec, there, known)
    linked = made.after.get("clone") == "linked"
    found = _disks(there.config, grown, {} if not linked else there.config)
    return Plan(one, vmid, made.facts["node"], there.owner.origin, NEW, found)


def _disks(
    config: Mapping[str, Any],
    after: Mapping[str, Any] | None = None,
    shared: Mapping[str, Any] | None = None,
) -> tuple[Disk, ...]:
    """The disks of a configuration once those of `after` are made or grown; `shared`: a template's, used by clones.

    Without `after` nothing new is given away.
    """
    found = []
    for slot in {**disks.volumes(config), **(after or {})}:
        was, text = int(options.size_mib(config, slot)), str((after or {}).get(slot, ""))
        drive = str(config.get(slot) or text)
        storage = drive.partition(":")[0]
        if text.startswith("+"):
            mib = was + int(properties.size_mib(text[1:]))
        elif slot in config:
            mib = int(properties.size_mib(text)) if text else was
        else:
            gib = text.partition(",")[0].partition(":")[2]
            mib = int(gib) * 1024 if gib.isdigit() else 0
        kept = int(options.size_mib(shared, slot)) if shared else 0
        new = 0 if after is None else max(0, mib - kept) << 20
        found.append(Disk(slot, storage, mib, new))
    return tuple(found)


def _listed(found: Sequence[Disk]) -> str:
    """`scsi0 50G local-lvm, scsi1-scsi4 1000G tank`: neighbours that are alike together."""
    groups: list[list[Disk]] = []
    for disk in found:
        if groups and groups[-1][-1][1:3] == disk[1:3]:
            groups[-1].append(disk)
        else:
            groups.append([disk])
    return ", ".join(
        f"{group[0].slot}{f' to {group[-1].slot}' if group[1:] else ''} {properties.size_text(group[0].mib)}"
        f" {group[0].storage}"
        for group in groups
    )
