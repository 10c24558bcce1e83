"""What the provider cannot do by itself, or does badly."""

import json
from pathlib import Path
from typing import Any

from fleet.console import note
from fleet.findings import Fault, Finding
from fleet.plans import direct
from fleet.plans.differences import differences
from fleet.plans.plan import Change
from fleet.proxmox.client import Client
from fleet.terraform import command as terraform
from fleet.terraform import unsaid


def read_anew(directory: Path, values: dict[str, Any], found: list[Change]) -> dict[str, Any] | None:
    """The input that imports the machines of which somebody took a disk in Proxmox, or None.

    The provider keeps an empty block for such a disk in its state, and then fails at every change of disks.
    """
    lost = [change for change in found if change.kind == "update" and change.lost_disk]
    if not lost:
        return None
    imports = dict(values["imports"])
    for change in lost:
        note(f"{change.name} lost a disk in Proxmox; reading its disks again")
        terraform.checked(directory, "state", "rm", terraform.LOCK, change.recorded, capture=True)
        imports[change.name] = f"{change.before['node_name']}/{change.before['vm_id']}"
    return values | {"imports": imports}


def kept(values: dict[str, Any], found: list[Change]) -> dict[str, Any] | None:
    """The input in which what the guests have and their files do not say stays, or None where this one does it."""
    has = {change.name: change.before for change in found if change.kind in ("update", "import")}
    anew = unsaid.filled(values, has)
    unsaid.tell(values, anew)
    return anew if anew != values else None


def forget_dns(client: Client, found: list[Change]) -> None:
    """Remove name servers and search domain where the file no longer has them; the provider leaves them behind."""
    options = {"nameserver", "searchdomain"}
    for change in found:
        gone = sorted(one.field for one in differences(change) if one.field in options and not one.new)
        if gone:
            note(f"{change.name}: removing {' and '.join(gone)}")
            place = f"nodes/{change.before['node_name']}/qemu/{change.before['vm_id']}/config"
            client.put(place, delete=",".join(gone))


def lacking(client: Client, values: dict[str, Any], found: list[Change]) -> list[Finding]:
    """What existing machines would need beside the plan and only a new machine is given, and what they would lose."""
    findings = []
    for change in found:
        said = values["vms"].get(change.name, {}).get("hardware", {})
        devices = direct.COUNTED.keys() & set(change.changed)
        if change.before and change.after and (devices or {"efidisk", "tpmstate"} & said.keys()):
            config = client.config(change.before["node_name"], change.before["vm_id"])
            wrong = [*direct.lacking(said, config), *direct.dropped(said, config, devices)]
            findings += [Finding(f"refused: {change.name}: {field}: {text}") for field, text in wrong]
    return findings


def set_directly(
    client: Client, values: dict[str, Any], planned: list[Change] | None = None
) -> list[Finding]:
    """Give the machines through the API what the provider does not give them; with a plan, say what that would be.

    Returns a finding for each machine of which that failed; the others are done.
    """
    only = planned and {change.name for change in planned if change.kind in ("none", "update")}
    failed = []
    for name, vm in sorted(values["vms"].items()):
        said = vm.get("hardware", {})
        if not direct.SET & said.keys() or (planned is not None and name not in (only or ())):
            continue
        try:
            _set(client, name, vm, said, only_say=planned is not None)
        except Fault as fault:
            failed.append(Finding(f"{name}: {fault}; the next run tries again"))
    return failed


def _set(client: Client, name: str, vm: dict[str, Any], said: dict[str, Any], only_say: bool) -> None:
    options = direct.settings(said, client.config(vm["target_node"], vm["vmid"]))
    if not options:
        return
    waits = "; it takes effect at the next restart" if vm["vm_state"] == "running" else ""
    note(f"{name}: {'would set' if only_say else 'setting'} {', '.join(sorted(options))} in Proxmox{waits}")
    if not only_say:
        place = f"nodes/{vm['target_node']}/qemu/{vm['vmid']}/config"
        deleted = ",".join(sorted(option for option, text in options.items() if text is None))
        changed = {option: text for option, text in options.items() if text is not None}
        client.put(place, **changed, **({"delete": deleted} if deleted else {}))


def held_back(values: dict[str, Any], found: list[Change]) -> dict[str, Any] | None:
    """The input without the growth of disks that the provider cannot do beside other changes.

    It refuses it beside what waits for a restart, and after a move to another storage looks at the old one.
    """
    crowded = [change for change in found if change.blocks_growth]
    sizes = {change.name: change.growth() for change in crowded if change.growth()}
    if not sizes:
        return None
    held = json.loads(json.dumps(values))
    for name, old in sizes.items():
        for disk in held["vms"][name]["disks"]:
            disk["size"] = old.get(disk["slot"], disk["size"])
    return held
