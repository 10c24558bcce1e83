"""The finished machine: every field, with the defaults of the schema."""

import copy
import re

import pytest

from fleet.paths import PROXMOX_DIR
from fleet.rules import file as rules
from fleet.terraform import tfvars
from fleet.vms.files import load_text
from fleet.vms.hardware import SLOTTED, Hardware
from fleet.vms.machine import Disk, Machine, machine, with_defaults
from fleet.vms.schema import child_of, form_of, part_of, schema
from tests.helpers.machines import KEY, made, text


@pytest.mark.parametrize(
    ("fields", "key", "value"),
    [
        ({}, "disks", [{"slot": "scsi0", "size": 20, "storage": "local-lvm", "mount": None}]),
        (
            {"disks": {f"scsi{n}": {"size": "1T", "storage": "ssd"} for n in (10, *range(10))}},
            "disks",
            [{"slot": f"scsi{n}", "size": 1024, "storage": "ssd", "mount": None} for n in range(11)],
        ),
        (
            {"disks": {slot: {"size": "1G"} for slot in ("virtio1", "scsi10", "virtio0", "scsi9", "sata0")}},
            "disks",
            [{"slot": slot, "size": 1, "storage": "local-lvm", "mount": None}
             for slot in ("sata0", "scsi9", "scsi10", "virtio0", "virtio1")],
        ),
        (
            {"disks": {"scsi0": {"size": "1G", "discard": "ignore", "cache": "unsafe", "backup": False, "ssd": True}}},
            "disks",
            [{"slot": "scsi0", "size": 1, "storage": "local-lvm", "mount": None, "discard": False,
              "cache": "unsafe", "backup": False, "ssd": True}],
        ),
        ({"tags": "Web;db"}, "tags", ["db", "proxmox-gitops", "web"]),
        ({"tags": ["b", "a"]}, "tags", ["a", "b", "proxmox-gitops"]),
        ({}, "description", "proxmox-gitops: a"),
        ({"description": "For tests"}, "description", "For tests\n\nproxmox-gitops: a"),
        ({"ipconfig0": "ip=10.0.0.2/8,ip6=auto"}, "ipconfig0",
         {"ip": "10.0.0.2/8", "gw": None, "ip6": "auto", "gw6": None}),
        ({"ipconfig0": "ip=10.0.0.2/8,ip6=auto", "skip_ipv6": True}, "ipconfig0",
         {"ip": "10.0.0.2/8", "gw": None, "ip6": None, "gw6": None}),
        ({"ipconfig0": "ip=10.0.0.2/8,gw=10.0.0.1,ip6=fd00::2/64,gw6=fd00::1"}, "ipconfig0",
         {"ip": "10.0.0.2/8", "gw": "10.0.0.1", "ip6": "fd00::2/64", "gw6": "fd00::1"}),
        ({"ipconfig0": "ip=dhcp"}, "ipconfig0", {"ip": "dhcp", "gw": None, "ip6": None, "gw6": None}),
        ({"ipconfig0": "ip=dhcp,ip6=auto", "skip_ipv6": True}, "ipconfig0",
         {"ip": "dhcp", "gw": None, "ip6": None, "gw6": None}),
        ({"ipconfig0": "ip=dhcp", "address": "192.168.1.50"}, "address", "192.168.1.50"),
        ({"vm_state": "stopped"}, "vm_state", "stopped"),
        ({}, "vm_state", "running"),
        ({"agent": 0}, "agent", False),
        ({"boot": "order=scsi0;net0"}, "boot", ["scsi0", "net0"]),
        ({}, "boot", []),  # the disk that holds the system, which tests/steps has
        ({"nameserver": "1.1.1.1 9.9.9.9"}, "nameserver", ["1.1.1.1", "9.9.9.9"]),
        ({"searchdomain": "lan"}, "searchdomain", "lan"),
        ({"network": {"bridge": "vmbr1", "model": "virtio", "macaddr": "bc:24:11:00:00:01"}}, "network",
         {"bridge": "vmbr1", "model": "virtio", "macaddr": "BC:24:11:00:00:01", "tag": None, "mtu": None,
          "firewall": False, "rate": None}),
        ({"protected": True}, "protection", True),
        ({"protection": True}, "protection", True),
        ({"sshkeys": [f"{KEY} "]}, "sshkeys", [KEY]),
        ({}, "sshkeys", []),
    ],
)  # fmt: skip
def test_fields(fields, key, value):
    assert tfvars.as_data(made("a", **fields))[key] == value


# Fields of the schema that reach no place of Terraform's input, and why.
NOWHERE = {
    "name": "it is the key of the machine's object",
    "formerly": "it decides between which keys the object moves, as tests/terraform shows",
    "protected": "it is the field protection",
    "serial": "every machine has this very console, and the schema takes no other",
    "skip_ipv6": "it takes ip6 out of ipconfig0",
    "disks.scsi1": "seen by its fields",
    "playbook_vars": "they are for plays, and tests/custom has them",
    "image": "the disk with the system has the volume, as tests/steps shows",
}
# Another valid value than the default or that of `text`, where the schema's own examples do not have one.
OTHER = {
    "ipconfig0": "ip=192.168.1.77/24", "cores": 3, "memory": 4096, "onboot": False, "agent": False, "full_clone": False,
    "agent.enabled": False, "protection": True,
    "vm_state": "stopped", "scsihw": "virtio-scsi-pci", "cpu_type": "x86-64-v3", "sshkeys": [KEY], "tags": ["other"],
    "network": {"bridge": "vmbr7"}, "boot": "order=net0", "network.firewall": True, "network.model": "e1000",
    "network.bridge": "vmbr9", "disks.scsi1.storage": "other-pool", "target_node": "node09", "clone": "debian12",
    "ciuser": "admin", "sockets": 2, "efidisk.storage": "other", "efidisk.efitype": "2m", "tpmstate.storage": "other",
    "efidisk.pre_enrolled_keys": True, "tpmstate.version": "v1.2", "watchdog.model": "ib700", "usb0.usb3": True,
    "watchdog.action": "pause", "hostpci0.pcie": True, "hostpci0.rombar": False, "hostpci0.x_vga": True,
    "virtiofs0.cache": "never", "virtiofs0.direct_io": True, "virtiofs0.expose_acl": True,
    "virtiofs0.expose_xattr": True, "net1.firewall": True, "net1.model": "e1000", "net1.bridge": "vmbr9",
    "ha.state": "started", "cloudinit.slot": "sata5", "cloudinit": {"slot": "sata5"},
}  # fmt: skip


SLOTS = {"scsi": "scsi1", "net": "net1", "ipconfig": "ipconfig1", "hostpci": "hostpci0", "usb": "usb0",
         "virtiofs": "virtiofs0"}  # fmt: skip


def fields_of(part: dict, prefix: str = "") -> list[str]:
    """Every field of the schema, with those of groups; of the slots one of each kind."""
    patterns = "".join(part.get("patternProperties", {}))
    names = [*part.get("properties", {}), *(slot for kind, slot in SLOTS.items() if f"{kind}" in patterns)]
    found = []
    for name in names:
        group = form_of(child_of(part, name), {})
        found += [prefix + name, *fields_of(group, f"{prefix}{name}.")]
    return found


FIELDS = [
    field
    for field in fields_of(schema())
    if not {field, field.split(".")[0]} & NOWHERE.keys() and field != "disks"
]
BASE = {
    "disks": {"scsi0": {"size": "20G"}, "scsi1": {"size": "30G"}}, "network": {"bridge": "vmbr0"},
    "cdrom": {"file": "none"}, "vga": {"type": "std"}, "startup": {"order": 9}, "cloudinit": {"slot": "ide0"},
    "cicustom": {"user": "a1:snippets/a", "network": "a1:snippets/a", "meta": "a1:snippets/a"}, "watchdog": {},
    "rng0": {"source": "/dev/random"}, "ha": {"state": "ignored"}, "efidisk": {}, "tpmstate": {}, "net1": {"tag": 7},
    "agent": {"enabled": True},
    "hostpci0": {"mapping": "a1"}, "usb0": {"mapping": "a1"}, "virtiofs0": {"mapping": "a1"},
}  # fmt: skip
# What a field needs beside it.
BESIDE: dict = {
    "address": {"ipconfig0": "ip=dhcp"},
    "ipconfig1": {"net1": {"bridge": "vmbr1"}},
    "hostpci0": {"machine": "q35"},
}


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_of_the_schema_reaches_terraform(field):
    """A field added to the schema alone fails here, and names the place that lacks it: `Machine`, or the module."""
    group, _, last = field.rpartition(".")
    value = OTHER.get(field, next(iter(part_of(field).get("examples", [])), None))
    assert value is not None, f"tests/vms/test_machine.py: give OTHER another value for {field}"
    top = field.split(".")[0]
    base = (
        BESIDE.get(top, {}) | {"disks": BASE["disks"]} | ({top: BASE[top]} if top in BASE and group else {})
    )
    changed = copy.deepcopy(base)
    place = changed
    for step in group.split(".") if group else ():
        place = place.setdefault(step, {})
    place[last] = value
    read = [load_text("a.yaml", text("a", **one))[0] for one in (base, changed)]
    assert [found for found in rules.check(read[1]) if found.level == "error"] == []
    before, after = (tfvars.as_data(machine(vm)) for vm in read)
    assert before != after, f"{field} does not reach Machine (scripts/fleet/vms/machine.py, hardware.py)"
    if top in ("rng0", "cipassword") or field == "agent.enabled":
        return  # beside Terraform: the provider does not handle the one, its state must not have the other
    folder = PROXMOX_DIR / "modules/vm"
    module = (folder / "main.tf").read_text() + (folder / "outputs.tf").read_text()
    name = re.sub(r"^(net|ipconfig|hostpci|usb|virtiofs)\d$", r"\1", last)
    used = (
        rf"\b(each\.value|vm|hardware|disk|[a-z_]+\.value|vms\[name\]|cicustom|cloudinit)(\.{top})?\.{name}\b"
    )
    assert re.search(used, module), f"{field} is not used in proxmox/modules/vm/main.tf"
    typed = (folder / "variables.tf").read_text()
    assert re.search(rf"[\s{{,]{name}\s+= ", typed), f"{field} has no type in proxmox/modules/vm/variables.tf"


def test_a_file_without_a_reserved_address_gives_the_input_that_it_always_gave():
    assert "address" not in tfvars.as_data(made("a")) | tfvars.as_data(made("b", ipconfig0="ip=dhcp"))


@pytest.mark.parametrize(
    ("fields", "address"),
    [
        ({}, "192.168.1.20"),
        ({"ipconfig0": "ip=dhcp"}, ""),
        ({"ipconfig0": "ip=dhcp", "address": "192.168.1.50"}, "192.168.1.50"),
        ({"ipconfig0": "ip=dhcp", "address": "192.168.1.50/24"}, ""),
        ({"address": "192.168.1.50"}, "192.168.1.20"),  # which the rules refuse
        ({"ipconfig0": ["ip=dhcp"], "address": 5}, ""),
    ],
)
def test_the_address_of_an_unchecked_file(fields, address):
    assert load_text("a.yaml", text("a", **fields))[0].address() == address


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, ""),
        ({"ostype": "l26"}, ""),
        ({"ostype": "l24", "cloudinit": {"slot": "ide0"}}, ""),
        ({"ostype": "win11"}, "ostype: win11"),
        ({"ostype": "other", "cloudinit": "none"}, "ostype: other"),
        ({"cloudinit": "none"}, "cloudinit: none"),
        ({"ostype": ["win11"], "cloudinit": 5}, ""),  # which the schema refuses
    ],
)
def test_what_says_that_no_play_runs_on_a_machine(fields, said):
    assert load_text("a.yaml", text("a", **fields))[0].unplayed == said


def test_machine_and_schema_have_the_same_fields():
    known = {*Machine._fields, *Hardware._fields} - {"path", "lines", "hardware", "fstrim", *SLOTTED}
    assert set(schema()["properties"]) - {"serial", "skip_ipv6", "formerly", "protected"} == known
    assert {part["x-name"] for part in schema()["patternProperties"].values()} == {
        f"{kind}N" for kind in SLOTTED
    }


@pytest.mark.parametrize("path", ["vms/machine.py", "terraform/tfvars.py", "proxmox/ids.py"])
def test_a_default_stands_in_the_schema_alone(path):
    source = (PROXMOX_DIR.parent / "scripts/fleet" / path).read_text()
    for value in ("vmbr0", "local-lvm", "virtio-scsi-single", "order=scsi0", '"host"', "running"):
        assert value not in source, f"{path} repeats the default {value}"


def test_defaults_fill_groups_that_are_absent_and_those_that_are_there():
    filled = with_defaults({"network": {"tag": 5}, "disks": {"scsi0": {"size": "1G"}}}, schema())
    assert filled["network"] == {"bridge": "vmbr0", "model": "virtio", "tag": 5, "macaddr": None, "mtu": None,
                                 "firewall": False, "rate": None, "queues": None, "link_down": None}  # fmt: skip
    said = {option: value for option, value in filled["disks"]["scsi0"].items() if value is not None}
    assert said == {"size": "1G", "storage": "local-lvm"}
    assert with_defaults({}, schema())["network"]["bridge"] == "vmbr0"
    assert with_defaults({}, schema())["disks"] == {}


@pytest.mark.parametrize(
    ("name", "said", "scsihw", "agent"),
    [
        ("talos-prod-cp01", "", "virtio-scsi-pci", False),
        ("talos-prod-w01", "agent: true\nscsihw: lsi\n", "lsi", True),
        ("talos-prod", "ciuser: suporte\n", "virtio-scsi-single", True),
    ],
)
def test_a_machine_of_talos_has_defaults_of_its_own(name: str, said: str, scsihw: str, agent: bool):
    head = f"name: {name}\ntarget_node: node01\ncores: 2\nmemory: 4096\nclone: t1\nipconfig0: ip=10.0.0.2/8\n"
    vm, found = load_text(f"{name}.yaml", head + said)
    assert [*found, *rules.check(vm)] == []
    one = machine(vm)
    assert (one.scsihw, one.agent) == (scsihw, agent)


def test_no_other_room_sees_the_raw_mapping():
    """`VM.data` is what a person wrote, unchecked; the other rooms take a `Machine`."""
    root = PROXMOX_DIR.parent / "scripts"
    for path in [*root.glob("*.py"), *root.glob("fleet/*/*.py")]:
        # A kubeconfig and a Secret have data of their own, and what is adopted is written as a person would.
        if path.parent.name not in ("vms", "rules", "clusters", "releases", "adopt"):
            assert not re.search(r"\bvm\.data\b|\.data\[\"|\.data\.get\(", path.read_text()), path


def test_every_default_is_valid():
    found = load_text("a.yaml", text("a"))[0]
    assert rules.check(found) == []
    assert machine(found).disks == (Disk("scsi0", 20, "local-lvm"),)
