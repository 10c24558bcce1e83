"""Whose a guest is. Terraform makes the machines of proxmox/vms/, this role makes others, and nobody both.

A machine of the role has the tag `ansible` and a line in its description. The line is sent with the creation itself:
so a machine whose creation was cut off is recognized and finished by the next run.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fleet import paths
from fleet.findings import Fault
from fleet.proxmox.guest import Guest
from fleet.vms import files, machine

TAG = "ansible"
FLEET = (machine.TAG, "terraform")  # tags of the machines that Terraform makes
UNFINISHED = "its creation was cut off; run create again, which finishes it"
_LINE = re.compile(r"^ansible-vm: (\S+)(?: from (\S+))?( \(not finished\))?$", re.MULTILINE)


class Owner(NamedTuple):
    """`role`: this role made it; `fleet`: Terraform did. Neither: somebody else. `origin`: template or image."""

    role: bool = False
    fleet: bool = False
    finished: bool = True
    origin: str = ""


def owner(config: Mapping[str, Any], tags: Iterable[str] = ()) -> Owner:
    """By a guest's configuration. Terraform's mark counts more than ours: it removes what is not in its files.

    `tags` are those of the cluster's list, which may be older: they can only keep a guest from being ours.
    """
    text = str(config.get("description") or "")
    own = set(re.split(r"[;, ]+", str(config.get("tags") or "")))
    if {*tags, *own} & set(FLEET) or machine.MARK.search(text):
        return Owner(fleet=True)
    line = _LINE.search(text)
    if line and line[1] == config.get("name"):
        return Owner(True, finished=not line[3], origin=line[2] or "")
    # A clone that a person made of such a machine has another name; the tag is enough to hand a machine over.
    return Owner(role=TAG in own and not line)


def named(config: Mapping[str, Any]) -> str:
    """The name in the line of a machine's description, which a renamed one and a copy keep; "" without a line."""
    found = _LINE.search(str(config.get("description") or ""))
    return found[1] if found else ""


def line(name: str, origin: str, finished: bool = True) -> str:
    return f"ansible-vm: {name}{f' from {origin}' if origin else ''}{'' if finished else ' (not finished)'}"


def described(text: str, own_line: str) -> str:
    """A description with the line, in place of the one that it has."""
    rest = _LINE.sub("", text).strip()
    return "\n\n".join(filter(None, (rest, own_line)))


def text_of(description: object) -> str:
    """What of a description people wrote."""
    return _LINE.sub("", str(description or "")).strip()


def fleet_file(name: str, vmid: int | None, folder: Path | None = None) -> str:
    """The VM file that has this name or VMID, as a person would type it; "" without one."""
    folder = folder or paths.VMS_DIR
    if not folder.is_dir():
        return ""
    if name and (folder / f"{name}.yaml").exists():
        return paths.shown(folder / f"{name}.yaml")
    found, _ = files.load_dir(folder)
    for vm in found.values():
        if (name and vm.name == name) or (vmid is not None and vm.vmid == vmid):
            return vm.path
    return ""


def refuse_fleet(
    verb: str, name: str, vmid: int | None, guest: Guest | None, config: Mapping[str, Any]
) -> None:
    """Raises Fault where Terraform makes the machine, or is to make it."""
    file = fleet_file(name, vmid)
    if file or (guest and owner(config, guest.tags).fleet):
        named = name or str(config.get("name") or "")
        who = f"{named} (VMID {vmid})" if named and vmid else named or f"VMID {vmid}"
        raise Fault(
            f"{who} belongs to Terraform, so this role does not {verb} it: edit {file or f'proxmox/vms/{named}.yaml'}"
        )


def refuse_stranger(verb: str, guest: Guest, config: Mapping[str, Any]) -> None:
    """Raises Fault for a machine that this role did not make."""
    refuse_fleet(verb, guest.name, guest.vmid, guest, config)
    copied = _LINE.search(str(config.get("description") or ""))
    if copied and copied[1] != config.get("name"):
        raise Fault(
            f"{guest.name} (VMID {guest.vmid} on {guest.node}) was copied from {copied[1]} or renamed, so this role"
            f" does not {verb} it: remove the line {copied[0]!r} from its description to hand it over"
        )
    if not owner(config, guest.tags).role:
        raise Fault(
            f"{guest.name} (VMID {guest.vmid} on {guest.node}) was not made by this role, which does not {verb} it:"
            f" do so in Proxmox, or hand it over by giving it the tag {TAG}"
        )


def refuse_unfinished(one: Owner, label: str) -> None:
    if one.role and not one.finished:
        raise Fault(f"{label}: {UNFINISHED}")
