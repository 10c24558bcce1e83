"""Changes to a machine's configuration: allocation of volumes, unused disks, pending values."""

import re
import time
import uuid
from urllib.parse import unquote

from lab.proxmox import properties
from lab.proxmox.errors import invalid_keys

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


def default_boot(config: dict) -> str:
    """The boot order of a new machine that is given none: its first disk, CD drive and card."""
    buses = {"ide": 0, "scsi": 1, "virtio": 2, "sata": 3}

    def place(slot: str) -> tuple[int, int]:
        bus = slot.rstrip("0123456789")
        return buses.get(bus, 4), int(slot[len(bus) :])

    known = {k: d for k, d in drives(config).items() if k not in ("efidisk0", "tpmstate0")}
    devices = [
        *sorted((k for k, d in known.items() if not is_cdrom(d)), key=place)[:1],
        *sorted((k for k, d in known.items() if is_cdrom(d)), key=place)[:1],
        *sorted((k for k in config if properties.NET.fullmatch(k)), key=place)[:1],
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
