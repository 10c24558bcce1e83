"""Options of a machine's configuration: what is allowed, and how Proxmox writes them down.

A drive or a network device is a property string: the default key first and bare, the others sorted.
Everything else is kept as sent.
"""

import re
import secrets

from lab.proxmox.errors import invalid_keys

DRIVE = re.compile(r"(?:ide[0-3]|sata[0-5]|scsi(?:[12]?\d|30)|virtio(?:\d|1[0-5])|efidisk0|tpmstate0)")
UNUSED = re.compile(r"unused\d{1,3}")
NET = re.compile(r"net(?:[12]?\d|3[01])")
DRIVE_KEYS = {
    "file", "media", "size", "format", "aio", "backup", "cache", "detect_zeroes", "discard", "import-from",
    "iops", "iops_rd", "iops_rd_max", "iops_wr", "iops_wr_max", "iothread", "mbps", "mbps_rd", "mbps_rd_max",
    "mbps_wr", "mbps_wr_max", "queues", "replicate", "ro", "serial", "shared", "snapshot", "ssd", "efitype",
    "pre-enrolled-keys", "version", "werror", "rerror", "wwn", "product", "vendor",
}  # fmt: skip
NET_MODELS = {
    "virtio",
    "e1000",
    "e1000e",
    "rtl8139",
    "vmxnet3",
    "ne2k_pci",
    "i82551",
    "i82557b",
    "i82559er",
    "pcnet",
}
NET_KEYS = {"model", "macaddr", "bridge", "firewall", "link_down", "mtu", "queues", "rate", "tag", "trunks"}
TRUE, FALSE = {"1", "on", "yes", "true"}, {"0", "off", "no", "false"}
UNICAST = r"[0-9A-Fa-f][02468ACEace](:[0-9A-Fa-f]{2}){5}"
UNKNOWN = "property is not defined in schema and the schema does not allow additional properties"


def parse(text: str, default_key: str) -> dict[str, str]:
    """`local:1,size=2G` -> {"file": "local:1", "size": "2G"}."""
    found = {}
    for part in str(text).split(","):
        if not part.strip():
            continue
        key, separator, value = part.strip().partition("=")
        if separator:
            found[key] = value
        else:
            found[default_key] = key
    return found


def show(properties: dict[str, str], default_key: str, skip=()) -> str:
    """The inverse of `parse` as PVE's print_property_string does it."""
    head = [properties[default_key]] if default_key in properties else []
    tail = [f"{k}={v}" for k, v in sorted(properties.items()) if k != default_key and k not in skip]
    return ",".join(head + tail)


def parse_drive(key: str, text: str) -> dict[str, str]:
    drive = parse(text, "file")
    if "volume" in drive:
        drive["file"] = drive.pop("volume")
    errors = {}
    if unknown := drive.keys() - DRIVE_KEYS:
        errors[key] = f"invalid format - {key}.{min(unknown)}: {UNKNOWN}"
    if "file" not in drive:
        errors[key] = "invalid format - format error\nfile: property is missing and it is not optional"
    if errors:
        raise invalid_keys(errors)
    return drive


def parse_net(key: str, text: str) -> dict[str, str]:
    """Model names double as keys of the MAC address: `virtio=BC:24:…` is model virtio."""
    net = parse(text, "model")
    for model in NET_MODELS & net.keys():
        net["macaddr"], net["model"] = net.pop(model), model
    errors = {}
    if unknown := net.keys() - NET_KEYS:
        errors[key] = f"invalid format - {key}.{min(unknown)}: {UNKNOWN}"
    if net.get("model") not in NET_MODELS:
        errors[key] = "invalid format - format error\nmodel: value does not have a value in the enumeration"
    mac = net.get("macaddr")
    if mac and not re.fullmatch(UNICAST, mac):
        wrong = f"value '{mac}' does not look like a valid unicast MAC address"
        errors[key] = f"invalid format - format error\nmacaddr: {wrong}"
    if (tag := net.get("tag")) and not (tag.isdigit() and 1 <= int(tag) <= 4094):
        errors[key] = "invalid format - format error\ntag: value must have a maximum value of 4094"
    if errors:
        raise invalid_keys(errors)
    return net


def show_net(net: dict[str, str]) -> str:
    rest = {k: v for k, v in net.items() if k not in ("model", "macaddr")}
    return show({"model": f"{net['model']}={net['macaddr']}", **rest}, "model")


def new_mac() -> str:
    return "BC:24:11:" + ":".join(f"{byte:02X}" for byte in secrets.token_bytes(3))


def to_bytes(text: str) -> int:
    """`20G` or `21474836480` in bytes; ValueError for anything else."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT]?)", str(text))
    if not match:
        raise ValueError(text)
    return int(float(match[1]) * 1024 ** " KMGT".index(match[2] or " "))


def show_size(size: int) -> str:
    """Bytes as PVE prints them: the largest unit that divides evenly."""
    unit = 0
    while unit < 4 and size and size % 1024 == 0:
        size, unit = size // 1024, unit + 1
    return f"{size}{' KMGT'[unit].strip()}"


def boolean(value) -> int | None:
    text = str(int(value) if isinstance(value, bool) else value).lower()
    return 1 if text in TRUE else 0 if text in FALSE else None
