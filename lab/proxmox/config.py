"""Changes to a machine's configuration: allocation of volumes, unused disks, pending values."""

import re
import time
import uuid
from urllib.parse import unquote

from lab.proxmox import properties
from lab.proxmox.errors import invalid_keys

# All drives, in Proxmox's order of them.
SLOTS = (
    *(f"ide{n}" for n in range(4)), *(f"scsi{n}" for n in range(31)), *(f"virtio{n}" for n in range(16)),
    *(f"sata{n}" for n in range(6)), "efidisk0", "tpmstate0",
)  # fmt: skip
KEY_LINE = re.compile(r"(?:\S.* )?(?:ssh-(?:rsa|dss|ed25519)|ecdsa-sha2-\S+|sk-\S+) [A-Za-z0-9+/=]+(?: .*)?")


def identity(config: dict) -> None:
    """Give a new or cloned machine the identifiers that no two may share."""
    config["smbios1"] = f"uuid={uuid.uuid4()}"
    config["vmgenid"] = str(uuid.uuid4())
    config["meta"] = f"creation-qemu=10.0.2,ctime={int(time.time())}"


def is_cloudinit(volid: str) -> bool:
    return bool(re.search(r"(?:^|[:/])(?:vm-\d+-)?cloudinit(?:\.\w+)?$", volid))


def is_cdrom(drive: dict) -> bool:
    return drive.get("media") == "cdrom"


def drives(config: dict) -> dict[str, dict]:
    """The drives of a configuration as parsed property strings."""
    return {k: properties.parse_drive(k, v) for k, v in config.items() if properties.DRIVE.fullmatch(k)}


def disks(config: dict) -> dict[str, dict]:
    """Of these, those with a volume of the machine's own: no ISO, no empty CD drive, no cloud-init."""
    return {k: d for k, d in drives(config).items() if not is_cdrom(d) and not is_cloudinit(d["file"])}


def hard_disks(config: dict) -> dict[str, dict]:
    """Of these, those that the machine sees as disks: neither UEFI variables nor a TPM's state."""
    return {k: d for k, d in disks(config).items() if k not in ("efidisk0", "tpmstate0")}


def cloned(config: dict) -> dict:
    """What a clone takes over from a machine as it is, beside disks: all but what identifies the machine."""
    kept = {
        key: value for key, value in config.items()
        if not properties.UNUSED.fullmatch(key) and key not in ("template", "lock")
    }  # fmt: skip
    for key in filter(properties.NET.fullmatch, kept):
        kept[key] = properties.show_net(
            properties.parse_net(key, kept[key]) | {"macaddr": properties.new_mac()}
        )
    kept["smbios1"] = properties.show(
        properties.parse(kept.get("smbios1", ""), "uuid") | {"uuid": str(uuid.uuid4())}, ""
    )
    if "vmgenid" in kept:
        kept["vmgenid"] = str(uuid.uuid4())
    return kept


def default_boot(config: dict) -> str:
    """The boot order of a new machine that is given none: its first disk, CD drive and card."""
    known = {k: d for k, d in drives(config).items() if k not in ("efidisk0", "tpmstate0")}
    devices = [
        *[slot for slot in SLOTS if slot in known and not is_cdrom(known[slot])][:1],
        *[slot for slot in SLOTS if slot in known and is_cdrom(known[slot])][:1],
        *[f"net{n}" for n in range(32) if f"net{n}" in config][:1],
    ]
    return f"order={';'.join(devices)}" if devices else ""


def check_values(options: dict) -> None:
    errors = {}
    for key, value in options.items():
        if key == "sshkeys":
            if not re.fullmatch(r"[-%a-zA-Z0-9_.!~*'()]*", value):
                errors[key] = "invalid format - invalid urlencoded string"
            elif not all(KEY_LINE.fullmatch(line) for line in unquote(value).split("\n") if line.strip()):
                errors[key] = "invalid format - SSH public key validation error"
    if errors:
        raise invalid_keys(errors)
