"""The finished machine: what a valid VM file means, typed, with the schema's defaults filled in.

The field names are those of the VM file. A default stands in schemas/vm.schema.json, but for those of TALOS.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from fleet.findings import Finding
from fleet.names import is_talos
from fleet.vms import addresses, files, values
from fleet.vms.hardware import NONE, Hardware, Network, hardware, network
from fleet.vms.schema import child_of, form_of, resolved, schema
from fleet.vms.strict_yaml import Lines

TALOS = {"scsihw": "virtio-scsi-pci", "agent": False}  # its defaults; rules/talos.py has the reasons
TAG = "proxmox-gitops"  # of every machine of this project
MARK = re.compile(rf"^\s*{TAG}:", re.MULTILINE)


class Disk(NamedTuple):
    """One disk: its slot (`scsi0`), size in GiB, storage, and where Ansible mounts it.

    The other options are None where neither the file nor the machine that exists has another value than
    `values.disk_defaults`.
    """

    slot: str
    size: int
    storage: str
    mount: str | None = None
    discard: bool | None = None
    iothread: bool | None = None
    ssd: bool | None = None
    cache: str | None = None
    backup: bool | None = None
    replicate: bool | None = None
    aio: str | None = None
    format: str | None = None
    serial: str | None = None
    import_from: str | None = None  # the volume that a new disk is made of


class Machine(NamedTuple):
    """One machine as it is to be; None where neither the file nor the schema gives a value.

    `memory` in MiB. `description` and `tags` carry the project's mark. No `disks`: those of the template, and no
    `sshkeys`: those of proxmox/authorized_keys; no `boot`: the disk with the system. generate_tfvars.py fills these in,
    the `vmid` that it chose, and of which volume the disk with the system is made where there is an `image`.
    """

    path: str
    lines: Lines
    name: str
    target_node: str
    clone: str  # NONE too where there is an image
    image: str | None  # by its name in the catalogue
    cores: int
    sockets: int
    cpu_type: str
    memory: int
    ipconfig0: addresses.IPConfig
    address: str | None
    nameserver: tuple[str, ...]
    searchdomain: str | None
    ciuser: str | None  # None on Talos, and without cloud-init, where ipconfig0 is empty too
    sshkeys: tuple[str, ...]
    disks: tuple[Disk, ...]
    network: Network
    scsihw: str
    boot: tuple[str, ...]
    vmid: int | None
    full_clone: bool
    vm_state: str
    onboot: bool
    agent: bool
    protection: bool
    pool: str | None
    tags: tuple[str, ...]
    description: str
    hardware: Hardware = Hardware()
    playbook_vars: Mapping[str, Any] = {}  # only for plays; references to Vault are still references

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses that the file says: those of ipconfig0, and the reserved one."""
        return (*(str(one.ip) for one in self.ipconfig0.interfaces), *filter(None, [self.address]))

    def finding(self, field: str, message: str, level: str = "error") -> Finding:
        """A finding at a field of the file."""
        return files.finding(self.path, self.lines, field, message, level)


def mark(name: str) -> str:
    """The last line of a machine's description, by which the clone of an interrupted apply is recognized."""
    return f"{TAG}: {name}"


def is_marked(description: object, name: str) -> bool:
    """Whether a guest's notes say that it is this project's machine, made by it or taken over."""
    return mark(name) in str(description or "").splitlines()


def machine(vm: files.VM) -> Machine:
    """The machine that a VM file describes, if `rules.check` finds no error in the file."""
    data = with_defaults((TALOS if is_talos(vm.name) else {}) | vm.data, schema())
    config = addresses.parse(data["ipconfig0"] or "")[0]
    agent = data["agent"] if isinstance(data["agent"], dict) else {"enabled": data["agent"]}
    if data["skip_ipv6"]:
        config = config._replace(ip6=None, gw6=None, automatic6=None)
    disks = (
        Disk(slot, **disk | {"size": values.gib(disk["size"]), "discard": values.discards(disk["discard"])})
        for slot, disk in sorted(data["disks"].items(), key=lambda item: values.slot_order(item[0]))
    )
    converted = {
        "agent": bool(agent["enabled"]),
        "clone": data["clone"] or NONE,
        "boot": tuple(values.boot_devices(data["boot"])),
        "description": "\n\n".join(filter(None, [(data["description"] or "").strip(), mark(vm.name)])),
        "disks": tuple(disks),
        "hardware": hardware(data | {"fstrim": agent.get("fstrim")}),
        "ipconfig0": config,
        "protection": bool(data["protection"] or data["protected"]),
        "playbook_vars": data["playbook_vars"] or {},
        "nameserver": tuple(values.words(data["nameserver"])),
        "network": network(data["network"]),
        "sshkeys": tuple(key.strip() for key in data["sshkeys"] or ()),
        # Sorted and in lower case, as Proxmox keeps them.
        "tags": tuple(sorted({tag.lower() for tag in [*values.words(data["tags"]), TAG]})),
    }
    same = {name: data[name] for name in Machine._fields if name in data and name not in converted}
    return Machine(path=vm.path, lines=vm.lines, **same, **converted)


def with_defaults(value: Any, part: dict[str, Any]) -> Any:
    """A value of a VM file with the schema's defaults: every field is there, None where it has no value.

    A group that is not written is None too, but for those that every machine has (`x-always`).
    """
    part = form_of(part, value)
    if value is None or part.get("type") != "object":
        return value
    fields = {name: resolved(child) for name, child in part.get("properties", {}).items()}
    fields |= {name: child_of(part, name) for name in value}
    return {name: with_defaults(value.get(name, _default(child)), child) for name, child in fields.items()}


def _default(part: dict[str, Any]) -> Any:
    return {} if part.get("x-always") else part.get("default")
