"""Whatever a VM file can say, done by the real provider: made, changed, no longer said, and taken away.

tests/cases/reach has the VM files, a folder for each state, and what Proxmox has then.
"""

import re
import shutil
from pathlib import Path

import pytest
import yaml

from lab.proxmox import access, accounts, faults, mappings
from tests.helpers.fleet import Fleet, config, pve

CASES = Path(__file__).parents[1] / "cases/reach"
EXPECTED = yaml.safe_load((CASES / "proxmox.yaml").read_text())
BY_HAND = {
    "watchdog": "model=ib700",
    "startup": "order=3",
    "balloon": 256,
    "cpulimit": 2,
    "rng0": "/dev/urandom",
}
# What every VM file says; the rest is what its case is about.
COMMON = {"name", "target_node", "clone", "cores", "memory", "ipconfig0", "ciuser", "disks", "vm_state"}
# VMIDs are given in the order of the files' names.
VMIDS = {name: number for number, name in enumerate(sorted(EXPECTED, key=lambda name: f"{name}.yaml"), 500)}


@pytest.fixture
def fleet(proxmox, tmp_path):
    """A fleet whose token may do what some of these fields need, and whose datacenter has the devices they name."""
    if "Devices" not in access.read()["roles"]:
        accounts.add_role("Devices", "Mapping.Use Sys.Modify")
    accounts.grant("/", ["Devices"], "terraform@pve", None, propagate=True, remove=False)
    for kind, names in {
        "pci": ("gpu", "encoder"),
        "usb": ("zigbee", "zwave"),
        "dir": ("media", "photos"),
    }.items():
        for number, name in enumerate(names):
            mappings.write(kind, name, [f"node=node01,path=0000:0{number}:00.0,id=10de:1eb8"])
    return Fleet(tmp_path / "fleet")


def say(fleet: Fleet, state: str) -> None:
    """Replace the VM files by those of a state; where it has none, that of the state before stays."""
    for file in (CASES / state).glob("*.yaml"):
        shutil.copy(file, fleet.proxmox / "vms")


def say_no_more(fleet: Fleet) -> None:
    """Take out of each VM file what its case is about."""
    for file in (fleet.proxmox / "vms").glob("*.yaml"):
        said = yaml.safe_load(file.read_text()).items()
        kept = {key: value for key, value in said if key in COMMON or (key, value) == ("cloudinit", "none")}
        file.write_text(yaml.safe_dump(kept))


def options(name: str) -> dict:
    """What Proxmox has of a machine as proxmox.yaml writes it."""
    has = config(VMIDS[name])
    text = {key: str(value).replace(str(VMIDS[name]), "ID") for key, value in has.items()}
    text = {key: re.sub(r",size=\w+", "", value) for key, value in text.items()}
    return {key: re.sub(r"=(?:[0-9A-F]{2}:){5}[0-9A-F]{2}", "=macaddr", value) for key, value in text.items()}


def check(state: str) -> None:
    """Compare what Proxmox has with what the cases expect in this state, all machines at once."""
    wanted, found = {}, {}
    for name, expected in EXPECTED.items():
        if state in expected:
            has = options(name)
            wanted[name] = {
                key: value if value is None else str(value) for key, value in expected[state].items()
            }
            found[name] = {key: has.get(key) for key in wanted[name]}
    assert found == wanted


def apply(fleet: Fleet) -> str:
    status, output = fleet.apply("--max-changes", "99")
    assert status == 0, output
    again = fleet.plan()[1]
    assert "No changes." in again, again
    return output


def test_everything_that_a_file_can_say(fleet):
    say(fleet, "made")
    fleet.commit()
    apply(fleet)
    check("made")
    fleet.known(*EXPECTED)

    say(fleet, "changed")
    fleet.commit()
    output = apply(fleet)
    check("changed")
    waits = dict(re.findall(r"^restart needed: ([\w-]+) \((.*?)\)", output, re.M))
    assert waits == {name: ", ".join(one["restart"]) for name, one in EXPECTED.items() if "restart" in one}

    # Nor does a person's work in Proxmox go when no file says it.
    place = f"/nodes/node01/qemu/{VMIDS['desktop']}/config"
    pve("set", place, net1="virtio=BC:24:11:00:00:99,bridge=vmbr0", hostpci3="mapping=encoder", **BY_HAND)
    before = {name: config(vmid) for name, vmid in VMIDS.items()}
    say_no_more(fleet)
    fleet.commit()
    output = apply(fleet)
    after = {name: config(vmid) for name, vmid in VMIDS.items()}
    keys = {(name, key) for name in VMIDS for key in {*before[name], *after[name]} - {"digest"}}
    changed = {(name, key): (before[name].get(key), after[name].get(key)) for name, key in keys}
    assert {place: values for place, values in changed.items() if values[0] != values[1]} == {}
    told: dict[str, set[str]] = {}
    for name, fields in re.findall(
        r"([\w-]+): not in its file, and so left as it is in Proxmox: (.*)", output
    ):
        told.setdefault(name, set()).update(fields.split(", "))
    silent = {"own-cloud-init", "disk-formats", "linked", "no-cloud-init", "cloud-init-scsi1"}
    assert told.keys() == VMIDS.keys() - silent
    assert told["desktop"] == {"balloon", "cpulimit", "keyboard", "watchdog", "net1"}
    assert told["second-card"] == {"net1", "net2", "ipconfig1"}

    # The provider cannot see what was added to a machine that it made, and would take it away beside another.
    file = fleet.proxmox / "vms/desktop.yaml"
    kept = file.read_text()
    file.write_text(f"{kept}hostpci0: {{mapping: gpu}}\n")
    status, output = fleet.apply()
    assert (status, "refused: desktop: hostpci3: somebody gave the machine mapping=encoder" in output) == (
        1,
        True,
    ), output
    file.write_text(kept)

    say(fleet, "none")
    fleet.commit()
    apply(fleet)
    check("none")


# What a template may have that a VM file can say, with what a machine has that says none of it, or the plain value.
TEMPLATE = {
    "bios": "ovmf", "machine": "q35", "efidisk0": "local-lvm:1,efitype=4m", "tpmstate0": "local-lvm:1,version=v2.0",
    "rng0": "/dev/urandom", "hostpci0": "mapping=gpu,pcie=1", "usb0": "mapping=zigbee", "virtiofs0": "media",
    "startup": "order=7", "watchdog": "model=ib700", "tablet": 0, "keyboard": "de", "hotplug": "disk,network",
    "vga": "qxl", "cpulimit": 2, "cpuunits": 300, "ide3": "none,media=cdrom", "ide2": "local-lvm:cloudinit",
    "cicustom": "vendor=local:snippets/vendor.yaml",
}  # fmt: skip
PLAIN = {
    "bios": "seabios", "machine": "q35", "rng0": "none", "hostpci0": "none", "usb0": "none", "virtiofs0": "none",
    "watchdog": "none", "tablet": True, "keyboard": "en-us", "cpulimit": 0, "cloudinit": "none",
}  # fmt: skip
PLAINLY = {
    "bios": "seabios", "tablet": "1", "keyboard": "en-us", "rng0": None, "hostpci0": None, "usb0": None,
    "virtiofs0": None, "watchdog": None, "cpulimit": None, "ide2": None, "cicustom": None,
}  # fmt: skip


def test_what_a_template_has(fleet):
    place = "/nodes/node01/qemu"
    pve("create", place, vmid=9100, name="full", scsi0="local-lvm:3", net0="virtio,bridge=vmbr0", **TEMPLATE)
    pve("create", f"{place}/9100/template")
    fleet.write("as-it-is", 80, clone="full", vm_state="stopped", vmid=600)
    fleet.write("plain", 81, clone="full", vm_state="stopped", vmid=601, **PLAIN)
    fleet.commit()
    assert fleet.apply()[0] == 0
    apply(fleet)  # the provider records in a second run that the template's watchdog is gone
    template, has = config(9100), config(600)
    kept = TEMPLATE.keys() - {"efidisk0", "tpmstate0", "ide2"}
    assert {key: has.get(key) for key in kept} == {key: template[key] for key in kept}
    assert TEMPLATE.keys() <= has.keys()
    plain = config(601)
    found = {key: plain.get(key) for key in PLAINLY}
    assert {key: value if value is None else str(value) for key, value in found.items()} == PLAINLY


def test_a_machine_that_cannot_be_given_what_its_file_says_holds_up_no_other(fleet):
    fleet.write("first", 82, vm_state="stopped", vmid=602)
    fleet.commit()
    assert fleet.apply()[0] == 0
    fleet.write("first", 82, vm_state="stopped", vmid=602, rng0="/dev/urandom")
    fleet.write("second", 83, vm_state="stopped", vmid=603, rng0="/dev/urandom")
    fleet.commit()
    status, output = fleet.plan()
    assert (status, "first: would set rng0 in Proxmox" in output, "rng0" in config(602)) == (
        0,
        True,
        False,
    ), output
    locked = {"match": "PUT /nodes/node01/qemu/602/config", "status": 500, "message": "VM is locked (backup)"}
    with faults.injected(locked):
        status, output = fleet.apply()
    assert (status, "VM is locked (backup)" in output, "the next run tries again" in output) == (
        3,
        True,
        True,
    ), output
    assert (config(602).get("rng0"), config(603)["rng0"]) == (None, "source=/dev/urandom")
    assert fleet.outputs.keys() == {"first", "second"}
    status, output = fleet.apply()
    assert (status, config(602)["rng0"]) == (0, "source=/dev/urandom"), output
