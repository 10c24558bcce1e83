"""What a VM file may say of a machine beyond CPU, memory, disks and the first card.

None stands for what the file does not say: the machine keeps what it has. Of a device that it takes away the file
says `none`: NONE here, and None among the devices of a kind that has slots.

More than 150 lines because the kinds of devices are one table.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from fleet.vms import addresses, values

NONE = "none"


class Network(NamedTuple):
    """A network card; `rate` in MB/s, `mtu` in bytes, `tag` is the VLAN, `macaddr` in upper case."""

    bridge: str
    model: str
    macaddr: str | None
    tag: int | None
    mtu: int | None
    firewall: bool
    rate: float | None
    queues: int | None = None
    link_down: bool | None = None


class EFIDisk(NamedTuple):
    storage: str
    efitype: str  # "4m" or "2m"
    pre_enrolled_keys: bool


class TPMState(NamedTuple):
    storage: str
    version: str


class VGA(NamedTuple):
    """A display; `memory` in MiB."""

    type: str
    memory: int | None = None
    clipboard: str | None = None


class Startup(NamedTuple):
    """The place in the start order; `up` and `down` in seconds."""

    order: int | None
    up: int | None
    down: int | None


class CDROM(NamedTuple):
    file: str  # a volume, or "none" for an empty drive
    slot: str = "ide3"


class CloudInit(NamedTuple):
    """The drive with cloud-init's data; no slot: a machine without one. No storage: that of the system's disk."""

    slot: str | None
    storage: str | None = None


class CICustom(NamedTuple):
    user: str | None
    network: str | None
    meta: str | None
    vendor: str | None


class HostPCI(NamedTuple):
    mapping: str
    pcie: bool
    rombar: bool
    x_vga: bool
    mdev: str | None


class USB(NamedTuple):
    mapping: str
    usb3: bool


class VirtioFS(NamedTuple):
    mapping: str
    cache: str
    direct_io: bool
    expose_acl: bool
    expose_xattr: bool


class RNG(NamedTuple):
    """A source of random numbers; `period` in milliseconds."""

    source: str
    max_bytes: int | None = None
    period: int | None = None


class Watchdog(NamedTuple):
    model: str
    action: str


class HA(NamedTuple):
    state: str
    group: str | None
    max_restart: int | None
    max_relocate: int | None


class Hardware(NamedTuple):
    """The fields under the names of the VM file; those with slots by slot."""

    bios: str | None = None
    machine: str | None = None
    efidisk: EFIDisk | None = None
    tpmstate: TPMState | None = None
    balloon: int | None = None  # MiB, 0: off
    cpu_flags: tuple[str, ...] | None = None
    cpulimit: float | None = None  # CPUs, 0: no limit
    cpuunits: int | None = None
    numa: bool | None = None
    vcpus: int | None = None
    vga: VGA | None = None
    startup: Startup | None = None
    cdrom: CDROM | None = None
    cloudinit: CloudInit | None = None
    cicustom: CICustom | None = None
    cipassword: str | None = None  # its place in Vault
    ostype: str | None = None
    hotplug: str | None = None
    keyboard: str | None = None
    tablet: bool | None = None
    fstrim: bool | None = None  # an option of `agent`
    rng0: RNG | str | None = None
    watchdog: Watchdog | str | None = None
    ha: HA | str | None = None
    net: Mapping[str, Network | None] = {}
    ipconfig: Mapping[str, addresses.IPConfig] = {}
    hostpci: Mapping[str, HostPCI | None] = {}
    usb: Mapping[str, USB | None] = {}
    virtiofs: Mapping[str, VirtioFS | None] = {}


SLOTTED = ("net", "ipconfig", "hostpci", "usb", "virtiofs")
_GROUPS: dict[str, type] = {
    "efidisk": EFIDisk, "tpmstate": TPMState, "vga": VGA, "startup": Startup, "cdrom": CDROM, "cloudinit": CloudInit,
    "cicustom": CICustom, "rng0": RNG, "watchdog": Watchdog, "ha": HA, "hostpci": HostPCI, "usb": USB,
    "virtiofs": VirtioFS,
}  # fmt: skip
_SHORT = {"vga": VGA, "cdrom": CDROM, "rng0": RNG}  # the first field of the group may stand for it


def network(data: Mapping[str, Any]) -> Network:
    """A card, its address in upper case as Proxmox writes it, so that a plan shows no difference."""
    return Network(**{**data, "macaddr": data["macaddr"] and data["macaddr"].upper()})


def hardware(data: Mapping[str, Any]) -> Hardware:
    """What a valid VM file, with the schema's defaults filled in, says of these fields."""
    found = {name: _typed(name, data.get(name)) for name in Hardware._fields if name not in SLOTTED}
    for kind in SLOTTED:
        found[kind] = {slot: _typed(kind, data[slot]) for slot in sorted(slots(kind, data), key=_number)}
    return Hardware(**found)


def slots(kind: str, data: Mapping[str, Any]) -> Iterator[str]:
    """The fields of a file that are of a kind with slots: `net1`, `net2`; ipconfig0 is not among them."""
    return (
        name
        for name in data
        if name.startswith(kind) and name[len(kind) :].isdecimal() and name != "ipconfig0"
    )


def _number(slot: str) -> int:
    return int(re.sub(r"\D", "", slot))


def _typed(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name == "ipconfig":
        return addresses.parse(value)[0]
    if name == "cipassword":
        return value["vault"]
    if name == "cpu_flags":
        return tuple(values.words(value))
    if value == NONE and name not in ("vga", "cdrom"):  # which have a value of that name
        return CloudInit(None) if name == "cloudinit" else None if name in SLOTTED else NONE
    if name == "net":
        return network(value)
    if name in _SHORT and isinstance(value, str):
        return _SHORT[name](value)
    if name == "virtiofs":
        value = value | {"expose_xattr": value["expose_xattr"] or value["expose_acl"]}  # as Proxmox has it
    return _GROUPS[name](**value) if name in _GROUPS else value
