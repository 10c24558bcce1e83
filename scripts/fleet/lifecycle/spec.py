"""What a machine is to be: the variables of the role proxmox_vm, typed. All that is wrong is told at once.

More than 150 lines because each variable is read here.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from fleet.arguments import BRIDGE, CHECKSUM, LABEL, WORD, Arguments
from fleet.findings import cut
from fleet.images import entry
from fleet.lifecycle import cloud_init
from fleet.lifecycle.cloud_init import Settings
from fleet.proxmox import ids
from fleet.vms import values

PREFIX = "proxmox_vm_"
SLOT = r"(scsi([12]?[0-9]|30)|virtio([0-9]|1[0-5])|sata[0-5])"
SNIPPET = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}:snippets/[A-Za-z0-9._-]{1,200}"


class Disk(NamedTuple):
    """`size` in GiB; no `storage`: that of the system's disk."""

    slot: str
    size: int
    storage: str = ""


class Source(NamedTuple):
    """The cloud image that a machine is made of, unless `url` is empty."""

    url: str = ""
    checksum: str = ""
    storage: str = ""
    format: str = ""
    growth: int = 0  # GiB that the disk gets beyond the image's own size
    unverified: bool = False
    timeout: int = 1800


class Spec(NamedTuple):
    """One machine as it is wanted; "" and None where nothing is asked."""

    name: str = ""
    vmid: int | None = None
    node: str = ""
    template_vmid: int | None = None
    template_name: str = ""
    template_distribution: str = ""
    linked: bool = True
    image: Source = Source()
    disk_storage: str = ""
    disk_min_size: int | None = None
    disks: tuple[Disk, ...] = ()
    cores: int | None = None
    sockets: int | None = None
    memory: int | None = None
    cpu: str = ""
    bridge: str = ""
    vlan: int | None = None
    agent: bool | None = None
    onboot: bool | None = None
    protection: bool | None = None
    tags: tuple[str, ...] = ()
    description: str = ""
    cloud_init: Settings | None = Settings()
    vendor: str = ""  # the snippet with its vendor data
    timeout: int = 120
    force_stop: bool = False
    confirm: str = ""


def read(given: Mapping[str, Any]) -> Spec:
    """Raises Fault with all that is wrong."""
    a = Arguments(given, PREFIX)
    name = a.text("name", LABEL, "a host name: letters, digits and hyphens, at most 63")
    enabled = a.flag("cloud_init_enabled")
    spec = Spec(
        name=name,
        vmid=_vmid(a),
        node=a.text("node", LABEL, "the name of a node"),
        template_vmid=a.number("template_vmid", 100, 999_999_999),
        template_name=a.text("template_name", LABEL, "the name of a template"),
        template_distribution=a.text("template_distribution", WORD, "a distribution such as debian12"),
        linked=a.flag("linked_clone") is not False,
        image=_source(a),
        disk_storage=a.text("disk_storage", WORD, "the name of a storage"),
        disk_min_size=_gib(a, "disk_min_size", a.text("disk_min_size")),
        disks=tuple(_disks(a)),
        cores=a.number("cores", 1, 512),
        sockets=a.number("sockets", 1, 4),
        memory=a.number("memory", 16, 4_194_304),
        cpu=a.text("cpu_type", r"[A-Za-z0-9._-]{1,60}", "a CPU type such as host"),
        bridge=a.text("bridge", BRIDGE, "the name of a bridge"),
        vlan=a.number("vlan", 1, 4094),
        agent=a.flag("agent"),
        onboot=a.flag("onboot"),
        protection=a.flag("protection"),
        tags=tuple(_tags(a)),
        description=_description(a),
        cloud_init=None if enabled is False else cloud_init.read(a),
        vendor=a.text("vendor_snippet", SNIPPET, "a snippet such as local:snippets/agent.yaml"),
        timeout=a.number("timeout", 1, 3600) or Spec._field_defaults["timeout"],
        force_stop=bool(a.flag("force_stop")),
        confirm=a.text("confirm"),
    )
    if spec.vendor and not spec.cloud_init:
        a.wrong(
            "vendor_data_file",
            f"is for cloud-init, and {PREFIX}cloud_init_enabled is false; remove one of them",
        )
    a.check()
    return spec


def _vmid(a: Arguments) -> int | None:
    vmid = a.number("vmid", 100, 999_999_999)
    if vmid in ids.TEMPLATES:
        a.wrong("vmid", f"is {vmid}, but {ids.TEMPLATES[0]} to {ids.TEMPLATES[-1]} are templates; choose one from"
                f" {ids.BY_HAND[0]} to {ids.AUTOMATIC[-1]}, or leave it empty")  # fmt: skip
    return vmid


def _gib(a: Arguments, name: str, text: str) -> int | None:
    found = values.gib(text)
    if text and found is None:
        a.wrong(name, f"is {cut(text)}, which is not a size in whole GiB such as 50G or 2T")
    return found


def _source(a: Arguments) -> Source:
    url, growth = a.text("cloud_image_url"), a.text("import_disk_size_increase")
    if url and (problem := entry.address(url)):
        a.wrong("cloud_image_url", problem if problem.startswith("must") else f"is wrong: {problem}")
    if growth and not growth.startswith("+"):
        a.wrong("import_disk_size_increase", f"is {cut(growth)}; write +5G, or use {PREFIX}disk_min_size")
        growth = ""
    return Source(
        url=url,
        checksum=a.text("cloud_image_checksum", CHECKSUM, "sha256: or sha512: with the image's checksum"),
        storage=a.text("cloud_image_storage", WORD, "the name of a storage"),
        format=a.text("import_disk_format", "qcow2|raw|vmdk", "qcow2, raw or vmdk"),
        growth=_gib(a, "import_disk_size_increase", growth[1:]) or 0,
        unverified=bool(a.flag("allow_not_verified")),
        timeout=a.number("download_timeout", 1, 86400) or Source._field_defaults["timeout"],
    )


def _disks(a: Arguments) -> Iterator[Disk]:
    """`{scsi0: 50G, scsi1: {size: 10G, storage: tank}}`."""
    given = a.given.get("disks") or {}
    if not isinstance(given, Mapping):
        a.wrong("disks", "is not a mapping of slots such as {scsi1: {size: 10G}}")
        return
    inner = Arguments(given, f"{PREFIX}disks.")
    for slot, value in sorted(given.items(), key=lambda item: values.slot_order(str(item[0]))):
        options = Arguments(
            value if isinstance(value, Mapping) else {"size": value}, f"{PREFIX}disks.{slot}."
        )
        for name in options.given.keys() - {"size", "storage"}:
            options.wrong(str(name), "is not an option of a disk; there are size and storage")
        size = _gib(options, "size", options.text("size"))
        storage = options.text("storage", WORD, "the name of a storage")
        if not Arguments({"slot": slot}, "").text("slot", SLOT):
            inner.wrong(
                str(slot), "is not a disk; disks are scsi0 to scsi30, virtio0 to virtio15, sata0 to sata5"
            )
        elif size:
            yield Disk(slot, size, storage)
        elif not options.problems:
            options.wrong("size", "is missing; give a size such as 10G")
        a.problems += options.problems
    a.problems += inner.problems


def _tags(a: Arguments) -> Iterator[str]:
    for tag in values.words(a.given.get("tags")):
        text = Arguments({"tags": tag}, "").text("tags", r"[A-Za-z0-9_][A-Za-z0-9_+.-]*")
        if not text:
            a.wrong("tags", f"has {cut(str(tag))}, which is not a tag: letters, digits, _, +, . and -")
        else:
            yield text.lower()


def _description(a: Arguments) -> str:
    """Text of several lines, without what Proxmox would store as escapes."""
    return str(a.given.get("description") or "").replace("\r\n", "\n").strip()
