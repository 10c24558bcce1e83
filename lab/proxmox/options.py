"""Options of a machine's configuration: which there are, and which values they take."""

import re

from lab.proxmox.errors import invalid, invalid_keys
from lab.proxmox.properties import DRIVE, NET, UNKNOWN, UNUSED, boolean

INTEGERS = {  # minimum, maximum
    "cores": (1, 1024), "sockets": (1, 1024), "vcpus": (1, 4096), "cpuunits": (1, 262144),
    "balloon": (0, None),     "shares": (0, 50000), "migrate_speed": (0, None),
}  # fmt: skip
BOOLEANS = {
    "onboot", "numa", "protection", "template", "tablet", "acpi", "kvm", "freeze", "localtime", "autostart",
    "ciupgrade", "tdf", "reboot", "keephugepages", "allow-ksm",
}  # fmt: skip
STRINGS = {
    "name", "description", "tags", "agent", "boot", "bootdisk", "ostype", "scsihw", "vga", "cpu",
    "cpulimit", "bios", "machine", "keyboard", "hotplug", "startup", "args", "hookscript", "smbios1",
    "vmgenid", "meta", "rng0", "audio0", "watchdog", "lock", "ciuser", "cipassword", "cicustom", "citype",
    "sshkeys", "nameserver", "searchdomain", "affinity", "arch", "hugepages", "migrate_downtime",
    "startdate", "vmstatestorage", "spice_enhancements", "ivshmem", "amd-sev", "memory",
}  # fmt: skip
NUMBERED = re.compile(
    r"(?:serial[0-3]|parallel[0-2]|usb1?\d|hostpci1?\d|numa[0-7]|ipconfig\d{1,2}|virtiofs\d)"
)
LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
PATTERNS = {
    "name": rf"(?=.{{1,253}}$){LABEL}(\.{LABEL})*",
    "tags": r"([A-Za-z0-9_][A-Za-z0-9_\-+.]*[;, ]*)*",
    "memory": r"(current=)?\d+",
    "serial": r"socket|/dev/.+",
    "ostype": r"other|wxp|w2k|w2k3|w2k8|wvista|win7|win8|win10|win11|l24|l26|solaris",
    "scsihw": r"lsi|lsi53c810|virtio-scsi-pci|virtio-scsi-single|megasas|pvscsi",
    "bios": r"seabios|ovmf",
    "citype": r"configdrive2|nocloud|opennebula",
    "lock": r"backup|clone|create|migrate|rollback|snapshot|snapshot-delete|suspending|suspended",
}


def checked(options: dict) -> dict:
    """Options with the types that Proxmox stores; ApiError 400 that names every bad one."""
    result, errors = {}, {}
    for key, value in options.items():
        kind = re.sub(r"\d+$", "", key)
        if key in INTEGERS:
            low, high = INTEGERS[key]
            if not re.fullmatch(r"-?\d+", str(value)):
                errors[key] = f"type check ('integer') failed - got '{value}'"
            elif int(value) < low:
                errors[key] = f"value must have a minimum value of {low}"
            elif high is not None and int(value) > high:
                errors[key] = f"value must have a maximum value of {high}"
            else:
                result[key] = int(value)
        elif key in BOOLEANS:
            result[key] = boolean(value)
            if result[key] is None:
                errors[key] = f"type check ('boolean') failed - got '{value}'"
        elif key in STRINGS or any(p.fullmatch(key) for p in (NUMBERED, DRIVE, NET, UNUSED)):
            pattern = PATTERNS.get(key) or PATTERNS.get(kind)
            if pattern and not re.fullmatch(pattern, str(value)):
                errors[key] = (
                    "invalid format - value does not look like a valid DNS name"
                    if key == "name"
                    else f"value '{value}' does not match the regex pattern"
                )
            elif key == "memory" and int(str(value).removeprefix("current=")) < 16:
                errors[key] = "memory.current: value must have a minimum value of 16"
            else:
                result[key] = str(value)
        else:
            errors[key] = UNKNOWN
    if errors:
        raise invalid_keys(errors)
    if "tags" in result:
        result["tags"] = ";".join(sorted(set(re.split(r"[;, ]+", result["tags"].lower())) - {""}))
    return result


def check_known(key: str) -> None:
    known = key in STRINGS or key in INTEGERS or key in BOOLEANS
    patterns = (NUMBERED, DRIVE, NET, UNUSED)
    if not known and not any(pattern.fullmatch(key) for pattern in patterns):
        raise invalid(delete=f"unknown option '{key}'")
