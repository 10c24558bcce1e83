"""What each type of storage can do with disks, new disks as Proxmox reads them, and that no disk shrinks.

Read in pve-storage 9.1: the features `clone` and `template` of its plugins. Of a new disk Proxmox takes GiB without a
unit: `pool:32G` would be the name of a volume.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from fleet.findings import Fault

_DRIVE = re.compile(r"(scsi|virtio|sata|ide)\d+|efidisk0|tpmstate0")


class Kind(NamedTuple):
    """One type of storage.

    `formats`: those that can be chosen, the usual one first. `templates`: disks become base images, of which linked
    clones are made. `discards`: blocks that the guest frees are given back.
    """

    formats: tuple[str, ...] = ()
    templates: bool = True
    discards: bool = True


_FILES = Kind(("qcow2", "raw", "vmdk"))
_KINDS = {
    "btrfs": Kind(),
    "cifs": _FILES,
    "dir": _FILES,
    "lvm": Kind(templates=False, discards=False),
    "lvmthin": Kind(),
    "nfs": _FILES,
    "rbd": Kind(),
    "zfspool": Kind(),
}


def kind(storage_type: str) -> Kind:
    """Raises Fault for a type that holds no disks, or that nobody has tried."""
    if storage_type not in _KINDS:
        raise Fault(f"storages of type {storage_type} are not supported; use one of {', '.join(_KINDS)}")
    return _KINDS[storage_type]


def is_base(volume: str) -> bool:
    """Whether a volume is a base image: `local-lvm:base-9000-disk-0`, `local:9000/base-9000-disk-0.qcow2`."""
    return volume.partition(":")[2].rpartition("/")[2].startswith("base-")


def volumes(config: Mapping[str, Any]) -> dict[str, str]:
    """The volumes of a guest's disks by slot, without CD and cloud-init drives."""
    drives = {slot: str(text) for slot, text in config.items() if _DRIVE.fullmatch(slot)}
    return {
        slot: text.partition(",")[0]
        for slot, text in drives.items()
        if "media=cdrom" not in text and "cloudinit" not in text and not text.startswith("none")
    }


def unconverted(config: Mapping[str, Any], storages: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The disks of a template, by slot, that are no base images, though their storages have such.

    Proxmox sets the mark of a template before it converts the disks, so that after a conversion that was cut off only
    they tell. `storages`: those of the template's node; of one that the token may not see nothing is expected.
    """
    types = {name: str(entry.get("type", "")) for name, entry in storages.items()}
    return {
        slot: volume
        for slot, volume in volumes(config).items()
        if not is_base(volume)
        and (known := _KINDS.get(types.get(volume.partition(":")[0], "")))
        and known.templates
    }


def disk(
    storage_type: str,
    storage: str,
    gib: int = 0,
    image: str = "",
    format: str = "",
    cache: str = "",
    ssd: bool = True,
    iothread: bool = False,
) -> str:
    """The text of a new disk: empty with `gib`, or filled from the volume `image`, whose size it then has.

    `format` counts where the storage has a choice; everywhere else Proxmox refuses it, so it is left out.
    """
    about = kind(storage_type)
    parts = [f"{storage}:0", f"import-from={image}"] if image else [f"{storage}:{gib}"]
    if about.formats:
        if format and format not in about.formats:
            raise Fault(f"{storage} holds disks as {', '.join(about.formats)}, not as {format}")
        parts.append(f"format={format or about.formats[0]}")
    parts += ["discard=on"] if about.discards else []
    parts += ["ssd=1"] if ssd and about.discards else []
    parts += ["iothread=1"] if iothread else []
    parts += [f"cache={cache}"] if cache not in ("", "none") else []
    return ",".join(parts)


def grows(current: float, wanted: int, exact: bool = False) -> bool:
    """Whether a disk of `current` GiB is to be enlarged to `wanted` GiB.

    `wanted` is the least that the disk shall have; with `exact` less than it has is an error, since no disk shrinks.
    """
    if exact and wanted < current:
        message = f"the disk has {current:g}G and cannot become {wanted}G: disks only grow"
        raise Fault(f"{message}; make a new disk and move the data")
    return wanted > current


def uefi(storage_type: str, storage: str, secure_boot: bool = False) -> dict[str, str]:
    """The options of a new machine that boots by UEFI, with a disk for its settings."""
    formats = kind(storage_type).formats
    keys = f"{storage}:1,efitype=4m,pre-enrolled-keys={int(secure_boot)}"
    return {"bios": "ovmf", "machine": "q35", "efidisk0": keys + (f",format={formats[0]}" if formats else "")}
