"""The machines of `.env`, typed. Whatever is wrong is told at once, each with its line.

More than 150 lines because each variable of a machine is read here.
"""

import ipaddress
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from fleet.arguments import BRIDGE, CHECKSUM, DOMAIN, LABEL, USER, WORD
from fleet.config.entries import Entries
from fleet.findings import cut
from fleet.names import RESERVED
from fleet.vms import addresses, public_keys

PLAYED = "deploy"  # the group of these machines in plays, which a machine of that name would stand for
LAST_SLOT = 30  # of Proxmox's scsi disks


class Disk(NamedTuple):
    """`size` as 50G; no `storage`: that of the system's disk."""

    slot: str
    size: str
    storage: str = ""


class Machine(NamedTuple):
    """One machine; "" and None where `.env` says nothing. `address` is dhcp or has a prefix length."""

    name: str
    vmid: int | None = None
    node: str = ""
    template: str = ""
    image_url: str = ""
    image_checksum: str = ""
    cores: int | None = None
    memory: int | None = None  # MiB
    storage: str = ""
    disks: tuple[Disk, ...] = ()
    bridge: str = ""
    vlan: int | None = None
    address: str = "dhcp"
    gateway: str = ""
    dns: tuple[str, ...] = ()
    domain: str = ""
    user: str = ""
    keys_file: str = ""
    vendor_data_file: str = ""


def read(said: Entries, templates: range) -> list[Machine]:
    """Nothing where VM_NAMES is empty. `templates`: VMIDs that no machine may have."""
    names = said.words("VM_NAMES", LABEL, "a host name: letters, digits and hyphens, at most 63")
    if not names:
        return []
    for name in names:
        if name.lower() in {*RESERVED, PLAYED}:
            said.wrong("VM_NAMES", f"has {name}, which means something else to Ansible; choose another")
    _twice(said, "VM_NAMES", [(name.lower(), name) for name in names])
    ids = _ids(said, names, templates)
    nodes = said.words("VM_NODES", LABEL, "the name of a node") or [""]
    places = _addresses(said, names)
    common = _common(said)
    return [
        common._replace(
            name=name, vmid=ids[number], node=nodes[number % len(nodes)], address=address, gateway=gateway
        )
        for number, (name, (address, gateway)) in enumerate(zip(names, places, strict=True))
    ]


def _common(said: Entries) -> Machine:
    """What all machines have."""
    url, checksum = _image(said)
    return Machine(
        name="",
        template=said.text("VM_TEMPLATE", LABEL, "the name of a template"),
        image_url=url,
        image_checksum=checksum,
        cores=said.number("VM_CORES", 1, 512),
        memory=said.number("VM_MEMORY", 16, 4_194_304),
        storage=said.text("VM_STORAGE", WORD, "the name of a storage"),
        disks=tuple(_disks(said)),
        bridge=said.text("VM_BRIDGE", BRIDGE, "the name of a bridge"),
        vlan=said.number("VM_VLAN", 1, 4094),
        dns=tuple(_dns(said)),
        domain=said.text("VM_DOMAIN", DOMAIN, "a domain"),
        user=said.text("VM_USER", USER, "the name of a user"),
        keys_file=_keys_file(said),
        vendor_data_file=said.file("VM_VENDOR_DATA_FILE"),
    )


def _twice(said: Entries, name: str, pairs: Sequence[tuple[object, str]]) -> None:
    """A value that two machines have, given as (value, machine)."""
    first: dict[object, str] = {}
    for value, machine in pairs:
        if value in first:
            both = "" if name == "VM_NAMES" else f", for {first[value]} and for {machine}"
            said.wrong(name, f"has {value} twice{both}; change one of them")
        first.setdefault(value, machine)


def _count(said: Entries, name: str, found: Sequence[str], names: Sequence[str]) -> bool:
    if len(found) != len(names):
        have = f"has {len(found)} value{'s' * (len(found) != 1)} for the {len(names)} machines"
        said.wrong(name, f"{have} of {said.named('VM_NAMES')}; give one for each, in the same order")
    return len(found) == len(names)


def _ids(said: Entries, names: Sequence[str], templates: range) -> list[int | None]:
    found = said.words("VM_IDS", r"[0-9]+", "a VMID")
    none: list[int | None] = [None] * len(names)
    if not found or not _count(said, "VM_IDS", found, names):
        return none
    ids: list[int | None] = []
    for text in found:
        number = int(text) if text.isdecimal() and len(text) < 10 else 0
        ids.append(number or None)
        if text.isdecimal() and not 100 <= number <= 999_999_999:
            said.wrong("VM_IDS", f"has {cut(text)}; a VMID is a number from 100 to 999999999")
        elif number in templates:
            taken = f"{templates[0]} to {templates[-1]} are for templates"
            said.wrong("VM_IDS", f"has {number}, but {taken}; choose one below, or leave VM_IDS empty")
    _twice(said, "VM_IDS", [(one, name) for one, name in zip(ids, names, strict=True) if one])
    return ids


def _addresses(said: Entries, names: Sequence[str]) -> list[tuple[str, str]]:
    """(address, gateway) of each machine."""
    found, gateway = said.words("VM_ADDRESSES"), said.text("VM_GATEWAY")
    if found in ([], ["dhcp"]):
        found = ["dhcp"] * len(names)
    elif not _count(said, "VM_ADDRESSES", found, names):
        return [("dhcp", "")] * len(names)
    if gateway and set(found) == {"dhcp"}:
        said.wrong("VM_GATEWAY", "is set, but each machine gets its address and gateway from DHCP; remove it")
        gateway = ""
    hosts = []
    for name, text in zip(names, found, strict=True):
        own, problems = addresses.parse(
            f"ip={text}" + (f",gw={gateway}" if gateway and text != "dhcp" else "")
        )
        for problem in problems:
            if problem.startswith("gw="):  # told once, though it may be wrong for all
                gateway = ""
                said.wrong("VM_GATEWAY", f"is wrong for {name}: {problem.removeprefix('gw=')}")
            else:
                said.wrong("VM_ADDRESSES", f"is wrong for {name}: {problem.removeprefix('ip=')}")
        hosts += [(str(own.ip.ip), name)] if own.ip else []
    _twice(said, "VM_ADDRESSES", hosts)
    return [(text, gateway if text != "dhcp" else "") for text in found]


def _image(said: Entries) -> tuple[str, str]:
    url = said.text("VM_IMAGE_URL")
    checksum = said.text("VM_IMAGE_CHECKSUM", CHECKSUM, "sha256: or sha512: with the image's checksum")
    template = said.text("VM_TEMPLATE")
    if "@" in url.partition("://")[2].partition("/")[0]:  # and a password, which is in no message
        said.wrong("VM_IMAGE_URL", "has a user name, which would stand in Proxmox's log; remove it")
    else:
        said.text("VM_IMAGE_URL", r"https://[^/{}]+/[!-z|~]+", "an address such as https://host/image.qcow2")
    if url and template:
        said.wrong("VM_IMAGE_URL", f"and {said.named('VM_TEMPLATE')} are both set; leave one of them empty")
    if not url and not template:
        said.wrong(
            "VM_NAMES", "has machines, but there is neither VM_TEMPLATE nor VM_IMAGE_URL; set one of them"
        )
    if "VM_IMAGE_CHECKSUM" in said.given and not url:
        said.wrong("VM_IMAGE_CHECKSUM", "is set without VM_IMAGE_URL; set that too, or remove it")
    return url, checksum


def _disks(said: Entries) -> Iterator[Disk]:
    if size := said.size("VM_OS_SIZE"):
        yield Disk("scsi0", size)
    mon, size = said.size("VM_MON_SIZE"), said.size("VM_DATA_SIZE")
    storage = said.text("VM_DATA_STORAGE", WORD, "the name of a storage")
    count = said.number("VM_DATA_DISKS", 0, LAST_SLOT - bool(mon)) or 0
    if count and "VM_DATA_SIZE" not in said.given:
        said.wrong("VM_DATA_DISKS", f"is {count}, but VM_DATA_SIZE is empty; set it, as 100G")
    yield from (Disk(f"scsi{number}", size, storage) for number in range(1, count + 1))
    if mon:
        yield Disk(f"scsi{count + 1}", mon)


def _dns(said: Entries) -> Iterator[str]:
    for server in said.words("VM_DNS"):
        try:
            yield str(ipaddress.ip_address(server))
        except ValueError:
            said.wrong("VM_DNS", f"has {cut(server)}, which is not an IP address")


def _keys_file(said: Entries) -> str:
    name = "VM_SSH_KEYS_FILE"
    path = said.file(name)
    if not path or not Path(path).is_file():
        return ""
    keys, findings = public_keys.read(Path(path))
    if any("private key" in finding.message for finding in findings):
        said.wrong(name, f"is a private key; name the public one, {cut(said.text(name))}.pub")
    elif not keys:
        said.wrong(name, "is a file without a key; add the line of a .pub file, or leave this empty")
    else:
        said.findings += findings
    return path
