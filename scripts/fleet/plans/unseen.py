"""What the provider drops from a guest without a word in its plan.

It reads some options of Proxmox as structures with the keys that it knows, and writes them back whole as soon as
one of them changes (bpg/proxmox 0.111, proxmox/nodes/vms/custom_*.go).
"""

from collections.abc import Mapping

from fleet.plans.differences import differences
from fleet.plans.fields import Difference
from fleet.plans.plan import Change
from fleet.proxmox import properties

# The keys that the provider keeps, by the option.
_DISK = {
    "file", "aio", "backup", "cache", "discard", "format", "iops_rd", "iops_rd_max", "iops_wr", "iops_wr_max",
    "iothread", "mbps_rd", "mbps_rd_max", "mbps_wr", "mbps_wr_max", "media", "queues", "replicate", "serial",
    "size", "ssd",
}  # fmt: skip
_CPU = {"cputype", "flags"}
_AGENT = {"enabled", "fstrim_cloned_disks", "type"}


def unseen(change: Change, config: Mapping[str, str]) -> list[Difference]:
    """What would be lost of a guest's configuration, as Proxmox has it, if this plan were applied."""
    fields = {one.field for one in differences(change)}
    found = []
    if fields & {"cpu_type", "cores", "sockets"}:
        found += _dropped("cpu", config.get("cpu"), "cputype", _CPU)
    if "agent" in change.changed:
        found += _dropped("agent", config.get("agent"), "enabled", _AGENT)
    for slot in sorted({field.split(".")[1] for field in fields if field.startswith("disks.")}):
        found += _dropped(slot, config.get(slot), "file", _DISK)
    drive = str(config.get("ide2", ""))
    moves = any(field.startswith("cloudinit") for field in fields)
    if moves and properties.parse(drive).get("media") == "cdrom" and "cloudinit" not in drive:
        found.append(Difference("ide2", False, drive, None))
    return found


def _dropped(option: str, text: str | int | None, first: str, known: set[str]) -> list[Difference]:
    has = properties.parse(str(text or ""), first)
    return [
        Difference(f"{option}.{key}", False, value, None) for key, value in has.items() if key not in known
    ]
