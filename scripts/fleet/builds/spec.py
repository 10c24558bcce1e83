"""What a template is to be: the variables of the role proxmox_template, typed. All that is wrong is told at once."""

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from fleet.arguments import BRIDGE, LABEL, WORD, Arguments
from fleet.findings import Fault
from fleet.images import lock
from fleet.lifecycle import cloud_init
from fleet.lifecycle.cloud_init import Settings
from fleet.lifecycle.spec import SNIPPET
from fleet.proxmox import ids
from fleet.templates.names import PREFIX
from fleet.vms import addresses, values

FORMAT = 1  # to be raised when a build makes something else of the same variables


class Spec(NamedTuple):
    """One template as it is wanted; "" and None where nothing is asked."""

    image: lock.Locked
    name: str
    node: str = ""
    vmid: int | None = None
    storage: str = "local-lvm"
    image_storage: str = ""  # "": one that takes images
    cores: int = 1
    memory: int = 1024  # MiB
    disk: int = 0  # GiB; 0: the image's own size
    bridge: str = "vmbr0"
    vlan: int | None = None
    firmware: str = "seabios"
    secure_boot: bool = False
    tpm: bool = False
    gpu: str = ""  # the mapping of a PCI device
    vendor: str = ""  # a snippet with vendor data
    cloud_init: Settings = Settings()
    agent: bool = True
    seal: str = ""  # ipconfig0 of the one boot in which the agent is installed
    boot_test: bool = False
    timeout: int = 1800

    @property
    def seals(self) -> bool:
        """Whether the build boots once: the image lacks the guest agent, and nothing else brings it."""
        return self.agent and not self.image.agent and not self.vendor

    def fingerprint(self) -> str:
        """What a rebuild depends on: another value means that the template is not the one that is wanted."""
        ignored = {
            "image",
            "name",
            "node",
            "vmid",
            "image_storage",
            "seal",
            "boot_test",
            "timeout",
        }
        data = {key: value for key, value in self._asdict().items() if key not in ignored}
        data |= {"format": FORMAT, "checksum": self.image.checksum, "seals": self.seals}
        return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def read(given: Mapping[str, Any]) -> Spec:
    """Raises Fault with all that is wrong.

    PROXMOX_SEAL_IPCONFIG is read here and not in the role, since `.env` is in the environment of a step only.
    """
    seal = given.get("seal_ipconfig") or os.environ.get("PROXMOX_SEAL_IPCONFIG", "")
    a = Arguments({**given, "seal_ipconfig": seal}, PREFIX)
    word = a.text("image", WORD, "the name of an image such as debian12")
    image = None
    if not word:
        a.wrong("image", "is not set; name an image of proxmox/images.yml, as debian12")
    else:
        try:
            image = lock.locked(word)
        except Fault as fault:
            a.problems.append(str(fault))
    vmid = a.number("vmid", 100, 999_999_999)
    if vmid is not None and vmid not in ids.TEMPLATES:
        a.wrong("vmid", f"is {vmid}; templates have numbers from {ids.TEMPLATES[0]} to {ids.TEMPLATES[-1]}")
    disk = a.text("disk_size")
    if disk and not values.gib(disk):
        a.wrong("disk_size", f"is {disk}, which is not a size in whole GiB such as 20G")
    firmware = a.text("firmware", "seabios|ovmf", "seabios or ovmf") or (image.firmware if image else "")
    if a.flag("secure_boot") and firmware != "ovmf":
        a.wrong("secure_boot", "needs the firmware ovmf")
    seal = a.text("seal_ipconfig")
    for problem in addresses.parse(seal)[1] if seal else ():
        a.wrong("seal_ipconfig", f"is wrong: {problem}")
    if seal and not addresses.parse(seal)[0].ip:
        a.wrong("seal_ipconfig", "needs a fixed address, as ip=192.168.1.9/24,gw=192.168.1.1: nobody could tell that"
                " of DHCP before there is an agent")  # fmt: skip
    settings = cloud_init.read(a)
    found = {
        "name": a.text("name", LABEL, "a host name: letters, digits and hyphens, at most 63"),
        "node": a.text("node", LABEL, "the name of a node"),
        "vmid": vmid,
        "storage": a.text("storage", WORD, "the name of a storage"),
        "image_storage": a.text("image_storage", WORD, "the name of a storage"),
        "cores": a.number("cores", 1, 512),
        "memory": a.number("memory", 128, 4_194_304),
        "disk": values.gib(disk),
        "bridge": a.text("bridge", BRIDGE, "the name of a bridge"),
        "vlan": a.number("vlan", 1, 4094),
        "firmware": firmware,
        "secure_boot": a.flag("secure_boot"),
        "tpm": a.flag("tpm"),
        "gpu": a.text("gpu", WORD, "the name of a mapping"),
        "vendor": a.text("vendor_snippet", SNIPPET, "a snippet such as local:snippets/agent.yaml"),
        "agent": a.flag("agent"),
        "seal": seal,
        "boot_test": a.flag("boot_test"),
        "timeout": a.number("download_timeout", 1, 86400),
    }
    a.check()
    assert image
    said = {key: value for key, value in found.items() if value not in (None, "")}
    settings = settings._replace(user=settings.user or image.user)
    return Spec(image=image, cloud_init=settings, **{"name": f"{image.name}-template"} | said)
