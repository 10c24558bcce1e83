"""What the provider cannot do by itself, or does badly."""

import json
from pathlib import Path
from typing import Any

from fleet.console import note
from fleet.plans.differences import differences
from fleet.plans.plan import Change
from fleet.proxmox import properties
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
        terraform.checked(directory, "state", "rm", terraform.LOCK, change.address, capture=True)
        imports[change.name] = f"{change.before['node_name']}/{change.before['vm_id']}"
    return values | {"imports": imports}


def kept(values: dict[str, Any], found: list[Change]) -> dict[str, Any] | None:
    """The input in which what the guests have and their files do not say stays, or None where this one does it."""
    has = {change.name: change.before for change in found if change.kind in ("update", "import")}
    anew = unsaid.filled(values, has)
    for name, fields in unsaid.added(values, anew).items():
        note(unsaid.text(name, fields))
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


def set_rng(client: Client, values: dict[str, Any]) -> None:
    """Give each machine the rng0 that its file says, or take it away; the provider does neither to a clone."""
    for name, vm in values["vms"].items():
        if "rng0" not in vm.get("hardware", {}):
            continue
        wanted = {key: str(value) for key, value in (vm["hardware"]["rng0"] or {}).items()}
        place = f"nodes/{vm['target_node']}/qemu/{vm['vmid']}/config"
        has = properties.parse(str(client.get(place).get("rng0", "")), "source")
        if has != wanted:
            note(
                f"{name}: {'setting' if wanted else 'removing'} rng0, which takes effect at its next restart"
            )
            text = properties.render(wanted, "source")
            client.put(place, **({"rng0": text} if wanted else {"delete": "rng0"}))


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
