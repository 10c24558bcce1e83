"""The formats of property strings, from qemu-server 9.2: drives, network cards, and what else a machine can have."""

import ipaddress
import re
from collections.abc import Callable

from lab.proxmox.schema import Format, Prop

FLAG = Prop("boolean")


def _matching(pattern: str, words: str) -> Callable[[str], None]:
    def check(value: str) -> None:
        if not re.fullmatch(pattern, value):
            raise ValueError(words.format(value))

    return check


mapping_id = _matching(r"[A-Za-z][\w-]+", "invalid configuration ID '{}'")
volume_id = _matching(r"[A-Za-z][\w.-]*[A-Za-z0-9]:.+", "unable to parse volume ID '{}'")
MAPPING = Prop(check=mapping_id)


def _volume(value: str) -> None:
    """A drive's content. A bare path is checked later: only root may name one."""
    if value not in ("none", "cdrom") and not value.startswith("/"):
        volume_id(value)


def _source(value: str) -> None:
    if not value.startswith("/"):
        volume_id(value)


def _size(value: str) -> None:
    if not re.fullmatch(r"\d+(\.\d+)?[KMGT]?", value):
        raise ValueError(f"value does not look like a valid disk size: {value}")


def _interface(version: int, words: str, *allowed: str) -> Callable[[str], None]:
    def check(value: str) -> None:
        try:
            if value not in allowed and (
                "/" not in value or ipaddress.ip_interface(value).version != version
            ):
                raise ValueError
        except ValueError:
            raise ValueError(f"value does not look like a valid {words} network configuration") from None

    return check


def _address(version: int, words: str) -> Callable[[str], None]:
    def check(value: str) -> None:
        try:
            if ipaddress.ip_address(value).version != version:
                raise ValueError
        except ValueError:
            raise ValueError(f"value does not look like a valid {words} address") from None

    return check


IPCONFIG: Format = {
    "ip": Prop(check=_interface(4, "ipv4", "dhcp")),
    "gw": Prop(check=_address(4, "IPv4"), needs="ip"),
    "ip6": Prop(check=_interface(6, "ipv6", "dhcp", "auto")),
    "gw6": Prop(check=_address(6, "IPv6"), needs="ip6"),
}

NET_MODELS = (
    "e1000", "e1000-82540em", "e1000-82544gc", "e1000-82545em", "e1000e", "i82551", "i82557b", "i82559er",
    "ne2k_isa", "ne2k_pci", "pcnet", "rtl8139", "virtio", "vmxnet3",
)  # fmt: skip
UNICAST = r"[0-9A-Fa-f][02468ACEace](:[0-9A-Fa-f]{2}){5}"
NET: Format = {
    "model": Prop(enum=NET_MODELS, required=True, default=True),
    "macaddr": Prop(check=_matching(UNICAST, "value does not look like a valid unicast MAC address")),
    **{model: Prop(alias="macaddr", names="model") for model in NET_MODELS},
    "bridge": Prop(check=_matching(r"[-_.\w]+", "invalid bridge ID '{}'")),
    "queues": Prop("integer", minimum=0, maximum=64),
    "rate": Prop("number", minimum=0),
    "tag": Prop("integer", minimum=1, maximum=4094),
    "trunks": Prop(pattern=r"\d+(?:-\d+)?(?:;\d+(?:-\d+)?)*"),
    "firewall": FLAG,
    "link_down": FLAG,
    "mtu": Prop("integer", minimum=1, maximum=65520),
}

_FILE: Format = {
    "file": Prop(check=_volume, required=True, default=True),
    "volume": Prop(alias="file"),
    "format": Prop(enum=("raw", "qcow", "qed", "qcow2", "vmdk", "cloop")),
    "size": Prop(check=_size),
}
_DRIVE: Format = _FILE | {
    "media": Prop(enum=("cdrom", "disk")),
    "snapshot": FLAG,
    "cache": Prop(enum=("none", "writethrough", "writeback", "unsafe", "directsync")),
    "backup": FLAG,
    "replicate": FLAG,
    "rerror": Prop(enum=("ignore", "report", "stop")),
    "werror": Prop(enum=("enospc", "ignore", "report", "stop")),
    "aio": Prop(enum=("native", "threads", "io_uring")),
    "discard": Prop(enum=("ignore", "on")),
    "detect_zeroes": FLAG,
    "serial": Prop(check=_matching(r"[-%a-zA-Z0-9_.!~*'()]*", "invalid urlencoded string: {}")),
    "shared": FLAG,
    "import-from": Prop(check=_source),
    **{f"{unit}{way}{peak}": Prop("number" if unit == "mbps" else "integer")
       for unit in ("mbps", "iops") for way in ("", "_rd", "_wr") for peak in ("", "_max")},
    **{f"{unit}{way}_max_length": Prop("integer", minimum=1)
       for unit in ("bps", "iops") for way in ("", "_rd", "_wr")},
}  # fmt: skip
_SSD, _WWN = {"ssd": FLAG}, {"wwn": Prop(pattern=r"(0x)[0-9a-fA-F]{16}")}
_THREAD, _READ_ONLY = {"iothread": FLAG}, {"ro": FLAG}
_NAMED = {
    "product": Prop(pattern=r"[A-Za-z0-9\-_\s]{,16}"),
    "vendor": Prop(pattern=r"[A-Za-z0-9\-_\s]{,8}"),
    "queues": Prop("integer", minimum=2),
    "scsiblock": FLAG,
}
DRIVES: dict[str, Format] = {
    "ide": _DRIVE | _SSD | _WWN | {"model": Prop()},
    "sata": _DRIVE | _SSD | _WWN,
    "scsi": _DRIVE | _SSD | _WWN | _THREAD | _READ_ONLY | _NAMED,
    "virtio": _DRIVE | _THREAD | _READ_ONLY,
    "efidisk": _FILE | {
        "import-from": Prop(check=_source),
        "efitype": Prop(enum=("2m", "4m")),
        "pre-enrolled-keys": FLAG,
        "ms-cert": Prop(enum=("2011", "2023", "2023w", "2023k")),
    },
    "tpmstate": _FILE | {"import-from": Prop(check=_source), "version": Prop(enum=("v1.2", "v2.0"))},
}  # fmt: skip

_PCI = r"(?:[a-f0-9]{4,}:)?[a-f0-9]{2}:[a-f0-9]{2}(?:\.[a-f0-9])?"
_HEX = r"0x[0-9a-fA-F]{4}"
_RANGES = r"\d+(?:-\d+)?(?:;\d+(?:-\d+)?)*"
_MACHINE = (
    r"(pc|pc(-i440fx)?-\d+(\.\d+)+(\+pve\d+)?(\.pxe)?|q35|pc-q35-\d+(\.\d+)+(\+pve\d+)?(\.pxe)?|"
    r"virt(?:-\d+(\.\d+)+)?(\+pve\d+)?)"
)
# What a machine can have beside drives and cards, by the option without its number.
FORMATS: dict[str, Format] = {
    "agent": {
        "enabled": Prop("boolean", required=True, default=True),
        "fstrim_cloned_disks": FLAG,
        "freeze-fs-on-backup": Prop(alias="freeze-fs"),
        "guest-fsfreeze": Prop(alias="freeze-fs"),
        "freeze-fs": FLAG,
        "type": Prop(enum=("virtio", "isa")),
    },
    "audio": {
        "device": Prop(enum=("ich9-intel-hda", "intel-hda", "AC97"), required=True),
        "driver": Prop(enum=("spice", "none")),
    },
    "boot": {"legacy": Prop(pattern="[acdn]{1,4}", default=True), "order": Prop()},
    "cicustom": {kind: Prop(check=volume_id) for kind in ("meta", "network", "user", "vendor")},
    "cpu": {
        "cputype": Prop(default=True),
        "hidden": FLAG,
        "hv-vendor-id": Prop(pattern="[a-zA-Z0-9]{1,12}"),
        "flags": Prop(pattern=r"[+-][a-zA-Z0-9\-_.]+(;[+-][a-zA-Z0-9\-_.]+)*"),
        "guest-phys-bits": Prop("integer", minimum=32, maximum=64),
        "phys-bits": Prop(pattern=r"host|[89]|[1-5]\d|6[0-4]"),
        "level": Prop("integer", minimum=0, maximum=4294967295),
        "reported-model": Prop(),
    },
    "hostpci": {
        "host": Prop(pattern=f"{_PCI}(;{_PCI})*", default=True),
        "mapping": MAPPING,
        "rombar": FLAG,
        "romfile": Prop(pattern="[^,;]+"),
        "pcie": FLAG,
        "x-vga": FLAG,
        "legacy-igd": FLAG,
        "mdev": Prop(pattern=r"[^/\.:]+"),
        **{f"{key}-id": Prop(pattern=_HEX) for key in ("vendor", "device", "sub-vendor", "sub-device")},
        "driver": Prop(enum=("vfio", "keep")),
    },
    "ipconfig": IPCONFIG,
    "machine": {
        "type": Prop(pattern=_MACHINE, default=True),
        "viommu": Prop(enum=("intel", "virtio")),
        "aw-bits": Prop("number", minimum=32, maximum=64),
        "enable-s3": FLAG,
        "enable-s4": FLAG,
    },
    "memory": {"current": Prop("integer", minimum=16, required=True, default=True)},
    "net": NET,
    "numa": {
        "cpus": Prop(pattern=_RANGES, required=True),
        "memory": Prop("number"),
        "hostnodes": Prop(pattern=_RANGES),
        "policy": Prop(enum=("preferred", "bind", "interleave")),
    },
    "rng": {
        "source": Prop(enum=("/dev/urandom", "/dev/random", "/dev/hwrng"), required=True, default=True),
        "max_bytes": Prop("integer"),
        "period": Prop("integer"),
    },
    "usb": {
        "host": Prop(
            pattern=r"(0x)?[0-9A-Fa-f]{4}:(0x)?[0-9A-Fa-f]{4}|\d+-\d+(\.\d+)*|[Ss][Pp][Ii][Cc][Ee]", default=True
        ),
        "mapping": MAPPING,
        "usb3": FLAG,
    },
    "vga": {
        "type": Prop(
            enum=("cirrus", "qxl", "qxl2", "qxl3", "qxl4", "none", "serial0", "serial1", "serial2", "serial3",
                  "std", "virtio", "virtio-gl", "vmware"),
            default=True,
        ),
        "memory": Prop("integer", minimum=4, maximum=512),
        "clipboard": Prop(enum=("vnc",)),
    },
    "virtiofs": {
        "dirid": Prop(check=mapping_id, required=True, default=True),
        "cache": Prop(enum=("auto", "always", "metadata", "never")),
        "direct-io": FLAG,
        "expose-xattr": FLAG,
        "expose-acl": FLAG,
    },
    "watchdog": {
        "model": Prop(enum=("i6300esb", "ib700"), default=True),
        "action": Prop(enum=("reset", "shutdown", "poweroff", "pause", "debug", "none")),
    },
}  # fmt: skip
