"""Options of a machine's configuration: which there are, and which values they take (qemu-server 9.2)."""

import re

from lab.proxmox import formats, processors
from lab.proxmox.errors import invalid, invalid_keys
from lab.proxmox.schema import UNKNOWN, Format, Prop, Unfit, boolean, parse, problem

FLAG = formats.FLAG
LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
KEYBOARDS = (
    "de", "de-ch", "da", "en-gb", "en-us", "es", "fi", "fr", "fr-be", "fr-ca", "fr-ch", "hu", "is", "it", "ja",
    "lt", "mk", "nl", "no", "pl", "pt", "pt-br", "sv", "sl", "tr",
)  # fmt: skip
OS_TYPES = (
    "other", "wxp", "w2k", "w2k3", "w2k8", "wvista", "win7", "win8", "win10", "win11", "l24", "l26", "solaris",
)  # fmt: skip


def _startup(value: str) -> None:
    parts = [part for part in value.split(",") if part.strip()]
    if not parts or not all(re.fullmatch(r"(order=)?\d+|up=\d+|down=\d+", part) for part in parts):
        raise ValueError("unable to parse startup options")


def _hotplug(value: str) -> None:
    for feature in re.split(r"[,; ]+", value) if value not in ("0", "1") else ():
        if feature not in ("network", "disk", "cpu", "memory", "usb", "cloudinit"):
            raise ValueError(f"invalid hotplug feature '{feature}'")


def _cpu_set(value: str) -> None:
    if not re.fullmatch(r"\d+(-\d+)?(,\d+(-\d+)?)*", value):
        raise ValueError(f"unable to parse cpuset '{value}'")


def _name(value: str) -> None:
    if not re.fullmatch(rf"(?=.{{1,253}}$){LABEL}(\.{LABEL})*", value):
        raise ValueError("value does not look like a valid DNS name")


PLAIN: Format = {
    **dict.fromkeys(
        ("onboot", "numa", "protection", "template", "tablet", "acpi", "kvm", "freeze", "localtime",
         "autostart", "ciupgrade", "tdf", "reboot", "keephugepages", "allow-ksm"), FLAG,
    ),
    **dict.fromkeys(("cores", "sockets", "vcpus"), Prop("integer", minimum=1)),
    **dict.fromkeys(("balloon", "migrate_speed"), Prop("integer", minimum=0)),
    **dict.fromkeys(
        ("description", "bootdisk", "args", "smbios1", "meta", "ciuser", "cipassword", "sshkeys", "nameserver",
         "searchdomain", "arch", "startdate", "vmstatestorage", "spice_enhancements", "ivshmem", "amd-sev",
         "intel-tdx"), Prop(),
    ),
    "name": Prop(check=_name),
    "tags": Prop(pattern=r"([A-Za-z0-9_][A-Za-z0-9_\-+.]*[;, ]*)*"),
    "ostype": Prop(enum=OS_TYPES),
    "scsihw": Prop(enum=("lsi", "lsi53c810", "virtio-scsi-pci", "virtio-scsi-single", "megasas", "pvscsi")),
    "bios": Prop(enum=("seabios", "ovmf")),
    "citype": Prop(enum=("configdrive2", "nocloud", "opennebula")),
    "lock": Prop(enum=("backup", "clone", "create", "migrate", "rollback", "snapshot", "snapshot-delete",
                       "suspending", "suspended")),
    "cpuunits": Prop("integer", minimum=1, maximum=262144),
    "cpulimit": Prop("number", minimum=0, maximum=128),
    "migrate_downtime": Prop("number", minimum=0),
    "shares": Prop("integer", minimum=0, maximum=50000),
    "hugepages": Prop(enum=("any", "2", "1024")),
    "affinity": Prop(check=_cpu_set),
    "keyboard": Prop(enum=KEYBOARDS),
    "hotplug": Prop(check=_hotplug),
    "startup": Prop(check=_startup),
    "hookscript": Prop(check=formats.volume_id),
    "vmgenid": Prop(pattern=r"[a-fA-F0-9]{8}(?:-[a-fA-F0-9]{4}){3}-[a-fA-F0-9]{12}|[01]"),
}  # fmt: skip
WHOLE = {"agent", "boot", "cicustom", "cpu", "machine", "memory", "vga", "watchdog"}
COUNTS = {
    "net": 32, "ipconfig": 32, "hostpci": 16, "usb": 14, "serial": 4, "parallel": 3, "numa": 8, "virtiofs": 10,
    "unused": 256, "ide": 4, "sata": 6, "scsi": 31, "virtio": 16, "efidisk": 1, "tpmstate": 1, "audio": 1,
    "rng": 1,
}  # fmt: skip


def kind(key: str) -> str | None:
    """An option's name without its number: `net` of net31. None where there is no such option."""
    if key in PLAIN or key in WHOLE:
        return key
    found = re.fullmatch(r"([a-z]+)(0|[1-9]\d*)", key)
    return found[1] if found and int(found[2]) < COUNTS.get(found[1], 0) else None


def wrong(key: str, value) -> str | None:
    """What is wrong with an option's value; None if nothing is."""
    name = kind(key)
    if name is None:
        return UNKNOWN
    if key in PLAIN:
        prop = PLAIN[key]
        lenient = boolean(value) if prop.kind == "boolean" else None
        return problem(prop, str(value if lenient is None else lenient))
    if name in ("serial", "parallel"):
        pattern = r"/dev/.+|socket" if name == "serial" else r"/dev/parport\d+|/dev/usb/lp\d+"
        return problem(Prop(pattern=pattern), str(value))
    form = formats.DRIVES.get(name) or formats.FORMATS.get(name) or formats.DRIVES["scsi"]  # unusedN
    try:
        values = parse(form, str(value), key)
        if name == "cpu":
            _check_cpu(values)
    except Unfit as error:
        return f"invalid format - {error}\n"
    return None


def _check_cpu(cpu: dict[str, str]) -> None:
    model = cpu.get("cputype")
    if not model:
        raise Unfit("CPU is missing cputype")
    if model.startswith("custom-"):
        raise Unfit(f"Custom cputype '{model.removeprefix('custom-')}' not found")
    if model not in processors.TYPES:
        raise Unfit(f"Built-in cputype '{model}' is not defined (missing 'custom-' prefix?)")
    flags = {flag[1:] for flag in cpu.get("flags", "").split(";") if flag}
    if flags - set(processors.FLAGS):
        raise Unfit(f"VM-specific CPU flags must be a subset of: {', '.join(processors.FLAGS)}")
    if "reported-model" in cpu:
        raise Unfit("Property 'reported-model' not allowed in VM-specific CPU config.")


def checked(options: dict) -> dict:
    """Options with the types that Proxmox stores; ApiError 400 that names every bad one."""
    if errors := {key: error for key, value in options.items() if (error := wrong(key, value))}:
        raise invalid_keys(errors)
    result = {}
    for key, value in options.items():
        stored = PLAIN.get(key, Prop()).kind
        result[key] = {"boolean": boolean, "integer": int}.get(stored, str)(value)
    if "tags" in result:
        result["tags"] = ";".join(sorted(set(re.split(r"[;, ]+", result["tags"].lower())) - {""}))
    if "cpuunits" in result:
        result["cpuunits"] = min(result["cpuunits"], 10000)  # control groups version 2 know no more
    return result


def check_known(key: str) -> None:
    if kind(key) is None:
        raise invalid(delete=f"unknown option '{key}'")
