"""What Terraform's provider does not do to a machine (bpg/proxmox 0.111), and the API does.

It gives a clone no source of random numbers, and takes none away. It sends a clone nothing that is the provider's own
default, nor that a device of the template is to go, and then records that it did. The disks of UEFI and of the TPM it
may replace by empty ones, so that Terraform makes them with a machine and leaves them alone afterwards.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from fleet.proxmox import properties

_CLOUD_INIT = re.compile(
    r"(?:ide|sata|scsi)\d+|ci(?:user|password|custom|type|upgrade)|sshkeys|ipconfig\d+|nameserver|searchdomain"
)
# What the provider takes for set where it says so: what Proxmox has without the option, and with which text it is set.
_DEFAULTS = {"bios": ("seabios", "seabios"), "keyboard": (None, "en-us"), "tablet": ("1", "1")}

# Devices of which the provider takes away all that it is not given, once one of them changes: those with these numbers.
COUNTED = {"hostpci": 16, "usb": 4, "virtiofs": 8}

# The fields of `hardware` on which `settings` depends.
SET = {*_DEFAULTS, *COUNTED, "rng0", "watchdog", "cpulimit", "cloudinit"}


def settings(said: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, str | None]:
    """The options of a guest to set, and as None those to delete, so that it has what its file says.

    `said`: the machine's `hardware` in Terraform's input; `config`: the guest's in Proxmox.
    """
    found: dict[str, str | None] = {}
    for option, (absent, text) in _DEFAULTS.items():
        wanted = said.get(option) == (True if option == "tablet" else text)
        if wanted and str(config.get(option, absent)) != text:
            found[option] = text
    if said.get("rng0") and (text := _random(said["rng0"], str(config.get("rng0", "")))):
        found["rng0"] = text
    for option in _gone(said):
        if option in config:
            found[option] = None
    if "cloudinit" in said and not said["cloudinit"].get("slot"):
        found |= {option: None for option, value in config.items() if _is_cloud_init(option, str(value))}
    return found


def _random(said: Mapping[str, Any], has: str) -> str | None:
    there = properties.parse(has, "source")
    wanted = there | {key: str(value) for key, value in said.items()}
    return None if wanted == there else ",".join(f"{key}={value}" for key, value in wanted.items())


def _gone(said: Mapping[str, Any]) -> Iterator[str]:
    yield from (option for option in ("rng0", "watchdog") if option in said and not said[option])
    if said.get("cpulimit") == 0:
        yield "cpulimit"
    for kind in COUNTED:
        yield from (slot for slot, device in said.get(kind, {}).items() if device is None)


def _is_cloud_init(option: str, value: str) -> bool:
    is_drive = re.match(r"(?:ide|sata|scsi)\d", option)
    return bool(_CLOUD_INIT.fullmatch(option)) and (not is_drive or "cloudinit" in value.partition(",")[0])


def lacking(said: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(field, what is wrong) where the disk of UEFI or of the TPM is not as the file of an existing machine says."""
    for field, options in (("efidisk", {"efitype": "2m"}), ("tpmstate", {"version": "v1.2"})):
        wanted, drive = said.get(field), str(config.get(f"{field}0", ""))
        if not wanted:
            continue
        has = properties.parse(drive)
        storage = has.get("file", "").partition(":")[0]
        if not drive:
            what = "only a new machine gets one; stop the machine and add it in Proxmox"
            yield field, f"the machine has no {field}0, and {what}, or remove the field"
        elif storage != wanted["storage"]:
            yield f"{field}.storage", f"the machine has it on {storage}; move it in Proxmox, or say so here"
        for option, absent in options.items():
            if drive and has.get(option, absent) != wanted[option]:
                value = has.get(option, absent)
                yield (
                    f"{field}.{option}",
                    f"the machine has {value}, and only a new machine gets another; say so",
                )


def dropped(
    said: Mapping[str, Any], config: Mapping[str, Any], changed: Collection[str]
) -> Iterator[tuple[str, str]]:
    """(field, what is wrong) for the devices that a change of others of their kind would take away unsaid.

    `changed`: what the plan changes. In a machine that it cloned the provider does not see what a person added.
    """
    for kind in sorted(COUNTED.keys() & set(changed)):
        for slot in (f"{kind}{number}" for number in range(COUNTED[kind])):
            if slot in config and slot not in said.get(kind, {}):
                text = (
                    f"somebody gave the machine {config[slot]}, which a change of another {kind} would take"
                )
                yield slot, f"{text} away; write it into the file, or `{slot}: none`"
