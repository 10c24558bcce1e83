"""The VM file that a guest would get, and what stands in its way."""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from fleet.adopt import devices, drives, fields, names, write
from fleet.adopt.reading import Reading
from fleet.findings import Finding, printable
from fleet.proxmox.guest import Guest
from fleet.rules import file as rules
from fleet.vms import files
from fleet.vms.files import VM
from fleet.vms.hardware import SLOTTED, Hardware
from fleet.vms.machine import TAG

_BASE = re.compile(r"(?:^|[:/])base-(\d+)-disk-")
# Fields that a file need not say, so that the machine keeps what it has.
_OPTIONAL = re.compile(
    "|".join([*(f"{kind}[0-9]+" for kind in SLOTTED), *set(Hardware._fields) - set(SLOTTED)])
)


class Candidate(NamedTuple):
    """A guest with the text of its file; no text where `refused` says why there is none."""

    guest: Guest
    label: str  # the file's path in messages
    text: str = ""
    vm: VM | None = None
    kept: Collection[str] = ()  # what stays in Proxmox without being said
    unsaid: Collection[str] = ()  # the same, but lost when that part of the machine is changed
    refused: Collection[str] = ()
    managed: str = ""  # the machine that it is already

    @property
    def who(self) -> str:
        return f"{self.guest.name or 'a guest'} (VMID {self.guest.vmid} on {self.guest.node})"


def candidate(
    guest: Guest,
    config: Mapping[str, Any],
    cluster: Collection[Guest],
    vms: Mapping[str, VM],
    storages: Collection[str] | None,
    folder: str,
    service: Mapping[str, Any] | None = None,
) -> Candidate:
    """What becomes of a machine. `vms`: the VM files by name; `storages`: those of its node that the token sees;
    `service`: what the HA manager has of it.
    """
    guest = guest._replace(name=str(config.get("name") or ""))
    label = f"{folder}/{guest.name}.yaml"
    if owners := re.findall(rf"^\s*{TAG}:\s*(\S+)", str(config.get("description") or ""), re.MULTILINE):
        return _marked(Candidate(guest, label), owners[0], vms)
    taken = {other.name for other in cluster if other.vmid != guest.vmid} | set(vms)
    found = fields.read(guest, config)
    if service:
        fields.add(found, "HA", "ha", lambda: devices.ha(service))
    elif guest.ha:
        found.kept.append("HA, which the token may not read (Sys.Audit on /)")
    template = _template(found, config, cluster)
    refused = [names.problem(guest, taken), *found.refused, *_hidden(config, storages)]
    vm, unsaid, wrong = _valid(found, label) if not any(refused) else (None, [], [])
    refused += wrong
    head = [f"Written by scripts/adopt.py from VMID {guest.vmid}."]
    unsaid = [*found.unsaid, *unsaid]
    if kept := [*found.kept, *unsaid]:
        head += ["Proxmox keeps what no VM file says:", *(f"- {printable(one)}" for one in kept)]
    if not template:
        found.remarks["clone"] = "its template is not known, and is needed only to make the machine again"
    text = write.text(found.fields, found.remarks, head)
    if vm and not write.is_read_back(label, text, found.fields):
        refused.append("has a text that no VM file holds unchanged; look at its notes")
    return Candidate(guest, label, text, vm, found.kept, unsaid, [*filter(None, refused)])


def _marked(candidate: Candidate, owner: str, vms: Mapping[str, VM]) -> Candidate:
    if owner in vms:
        return candidate._replace(managed=owner, label=vms[owner].path)
    return candidate._replace(
        refused=[
            f"belongs to {owner}, as the last line of its notes says, but there is no {owner}.yaml: get the file back"
            " from Git, or leave the guest to the repository that manages it"
        ]
    )


def _template(found: Reading, config: Mapping[str, Any], cluster: Iterable[Guest]) -> str:
    """The template, which only a linked clone's disk tells; it becomes the field `clone`."""
    bases = {int(match[1]) for text in config.values() if (match := _BASE.search(str(text)))}
    named = [guest.name for guest in cluster if guest.template and guest.vmid in bases]
    if len(named) == 1:
        found.fields["clone"] = named[0]
        return named[0]
    return ""


def _hidden(config: Mapping[str, Any], storages: Collection[str] | None) -> list[str]:
    """Volumes whose storage the token may not see: Terraform could not read them."""
    volumes = {
        option: str(text).partition(":")[0]
        for option, text in config.items()
        if drives.DRIVE.fullmatch(option) and ":" in str(text).partition(",")[0]
    }
    if storages is None:
        return []
    return [
        f"has {option} on {storage}, a storage that Proxmox does not show the token; give it Datastore.Audit and"
        f" Datastore.AllocateSpace on /storage/{storage}"
        for option, storage in volumes.items()
        if storage not in storages
    ]


def _valid(found: Reading, label: str) -> tuple[VM | None, list[str], list[str]]:
    """The file if it is valid, what was taken out so that it is, and why it is not."""
    unsaid: list[str] = []
    while True:
        vm, findings = files.load_text(label, write.text(found.fields, {}, ()))
        if vm is None:
            return None, unsaid, [finding.message for finding in findings]
        findings = [one for one in findings + rules.check(vm, findings) if one.level == "error"]
        optional = sorted({field for one in findings if _OPTIONAL.fullmatch(field := _root(one))})
        if not optional:
            return vm, unsaid, [one.message for one in findings]
        for field in optional:
            del found.fields[field]
        unsaid += [one.message for one in findings if _root(one) in optional]


def _root(finding: Finding) -> str:
    return finding.field.partition(".")[0]
