"""A guest's disks and drives under the names of the VM file: what each option of them says, and what none can say."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from fleet.adopt.devices import flag
from fleet.adopt.reading import Impossible, Reading
from fleet.proxmox.properties import parse, size_mib
from fleet.vms.values import disk_defaults, slot_order

DISK = re.compile(r"(scsi|virtio|sata|ide)\d+")
DRIVE = re.compile(rf"{DISK.pattern}|efidisk0|tpmstate0")
CLOUD_INIT = ("ciuser", "cipassword", "cicustom", "sshkeys", "nameserver", "searchdomain")
# Of a disk: what the provider takes away when it takes the guest over, and what it drops at the disk's next change.
_LIMITS = re.compile(r"(iops|mbps)(_.*)?|queues")
_NOT_SAID = ("file", "size", "format", "media")


def disk(slot: str, text: str, scsihw: str) -> tuple[dict[str, Any], str, list[str]]:
    """A disk as a file says it, a remark, and what of it no file says. Its options are named where they are not the
    VM file's own defaults.
    """
    has = parse(text)
    storage, _, volume = has["file"].partition(":")
    if slot.startswith("ide"):
        raise Impossible(
            "is an IDE disk; detach it, and attach it as a SATA disk while the machine is stopped"
        )
    if not volume or storage.startswith("/"):
        raise Impossible(f"is {has['file']}, which is no volume of a storage, so that no token may use it")
    if lost := sorted(key for key in has if _LIMITS.fullmatch(key)):
        raise Impossible(
            f"has {', '.join(lost)}, which Terraform's provider would take away; remove it there"
        )
    mib = size_mib(has.get("size", "0"))
    if mib < 1024:
        raise Impossible(
            f"has {has.get('size', 'no size')}, and a VM file counts in GiB; resize it to 1G there"
        )
    found: dict[str, Any] = {"size": f"{int(mib // 1024)}G", "storage": storage}
    remark = f"{has['size']} in Proxmox" if mib % 1024 else ""
    if form := re.search(r"\.(qcow2|vmdk)$", volume):
        found["format"] = form[1]
    proxmox = {
        "discard": "ignore",
        "cache": "none",
        "aio": "io_uring",
        "iothread": "0",
        "ssd": "0",
        "serial": "",
    }
    for option, default in disk_defaults(slot, scsihw).items():
        value: Any = has.get(option, proxmox.get(option, "1"))
        if isinstance(default, bool):
            value = value == "on" if option == "discard" else flag(value)
        if value != default:
            found[option] = value
    if found.get("iothread"):
        raise Impossible(f"has an I/O thread, which has no effect with {scsihw}; turn it off there")
    more = [key for key in has if key not in (*_NOT_SAID, *disk_defaults(slot, scsihw))]
    return found, remark, sorted(more)


def is_cloud_init(text: object) -> bool:
    """As the provider finds it: by the volume's name."""
    return bool(re.match(r"[^,]*[:/](vm-\d+-)?cloudinit(\.\w+)?(,|$)", str(text)))


def is_cd(text: object) -> bool:
    return parse(str(text)).get("media") == "cdrom"


def add_disks(found: Reading, has: Mapping[str, str]) -> None:
    scsihw, disks = str(found.fields["scsihw"]), {}
    for slot in sorted(filter(DISK.fullmatch, has), key=slot_order):
        if is_cloud_init(has[slot]) or is_cd(has[slot]):
            continue
        try:
            disks[slot], remark, more = disk(slot, has[slot], scsihw)
        except Impossible as error:
            found.refused.append(f"{slot} {error}")
            continue
        if remark:
            found.remarks[f"disks.{slot}"] = remark
        if more:
            found.unsaid.append(f"{slot} has {', '.join(more)}, which a change of the disk would take away")
    if disks:
        found.fields["disks"] = disks
    elif not found.refused:
        found.refused.append("has no disk; a VM file describes machines with one")


def add_drives(found: Reading, has: Mapping[str, str]) -> None:
    """The CD drive that the provider reads, and the drive with cloud-init's data."""
    fields = found.fields
    drives = [slot for slot in has if DISK.fullmatch(slot) and is_cloud_init(has[slot])]
    # The provider knows one CD drive; at ide3 it finds it by itself.
    cds = sorted((slot for slot in has if DISK.fullmatch(slot) and is_cd(has[slot]) and slot not in drives),
                 key=lambda slot: (slot != "ide3", slot))  # fmt: skip
    for slot in cds[:1]:
        file = parse(has[slot])["file"]
        fields["cdrom"] = file if slot == "ide3" else {"file": file, "slot": slot}
    found.kept.extend(f"{slot} (a second CD drive)" for slot in cds[1:])
    left = [option for option in has if option in CLOUD_INIT or re.fullmatch(r"ipconfig\d+", option)]
    if not drives:
        fields["cloudinit"] = "none"
        if left:
            found.refused.append(
                f"has {', '.join(sorted(left))} without a drive for cloud-init; remove them, or add the drive"
            )
        return
    storage = has[drives[0]].partition(":")[0]
    disks, boot = fields.get("disks", {}), fields.get("boot", "").removeprefix("order=").split(";")
    system = next((disk["storage"] for slot, disk in disks.items() if slot in boot), None)
    system = system or next((disk["storage"] for disk in disks.values()), None)
    if (drives[0], storage) != ("ide2", system):
        fields["cloudinit"] = {"slot": drives[0], "storage": storage}
    if keys := [line.strip() for line in unquote(has.get("sshkeys", "")).splitlines() if line.strip()]:
        fields["sshkeys"] = keys
    if "cipassword" in has:
        found.kept.append("cipassword")
    for option, example in (("ciuser", "NAME"), ("ipconfig0", "ip=dhcp")):
        if option not in has:
            vmid = fields["vmid"]
            found.refused.append(f"has no {option}; give it one: `qm set {vmid} --{option} {example}`")
    silent = not flag(parse(has.get("agent", ""), "enabled").get("enabled"))
    if silent and "ip=dhcp" in has.get("ipconfig0", "") and fields["ostype"] in ("l24", "l26"):
        found.refused.append(
            "gets its address by DHCP, and its guest agent, which alone could tell it, is off; turn it on with"
            f" `qm set {fields['vmid']} --agent 1`"
        )
