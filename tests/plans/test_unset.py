"""What Proxmox does where nothing is set is no change when a file says it."""

import copy

import pytest

from fleet.plans.differences import differences
from fleet.plans.unset import completed
from tests.plans.test_plan_guard import IMPORT, MACHINE
from tests.plans.test_takeover import change

CONFIG = {"cpu": "host", "memory": "3072", "ostype": "l26", "scsihw": "virtio-scsi-single"}


def machine(**blocks) -> dict:
    """MACHINE with some values of its blocks, or a block, changed."""
    found = copy.deepcopy(MACHINE)
    for name, value in blocks.items():
        if isinstance(value, dict):
            found[name] = [(found.get(name) or [{}])[0] | value]
        else:
            found[name] = value
    return found


UNREAD = [
    # What the provider reads, what the file says, the option, and the differences that are left.
    (machine(cpu={"type": "qemu64"}), machine(cpu={"type": "kvm64"}), "cpu", []),
    (machine(cpu=[]), machine(cpu={"type": "kvm64", "cores": 1, "sockets": 1}), "cpu", []),
    (machine(cpu=[]), machine(cpu={"type": "kvm64", "cores": 4}), "cpu", ["cores: 1 → 4"]),
    (machine(cpu={"type": "qemu64"}), machine(cpu={"type": "host"}), "cpu", ["cpu_type: kvm64 → host"]),
    (machine(memory={"dedicated": 0}), machine(memory={"dedicated": 512}), "memory", []),
    (machine(memory={"dedicated": 0}), machine(memory={"dedicated": 1024}), "memory", ["memory: 512 → 1024"]),
    (machine(scsi_hardware=None), machine(scsi_hardware="lsi"), "scsihw", []),
    (machine(scsi_hardware=None), machine(scsi_hardware="pvscsi"), "scsihw", ["scsihw: lsi → pvscsi"]),
    (machine(operating_system={"type": ""}), machine(operating_system={"type": "other"}), "ostype", []),
    (machine(operating_system=[]), machine(operating_system={"type": "other"}), "ostype", []),
]


@pytest.mark.parametrize(("before", "after", "option", "left"), UNREAD)
def test_an_option_that_is_not_set(before, after, option, left):
    config = {key: value for key, value in CONFIG.items() if key != option}
    found = change(before, after, **IMPORT)
    assert [str(one) for one in differences(completed(found, config))] == left
    # Where it is set, the provider has read it.
    assert completed(found, CONFIG).before == before
    # A run that was cut off has left the machine in the state, as it was.
    assert [str(one) for one in differences(completed(change(before, after), config))] == left


DRIVE = machine(cdrom=[{"interface": "ide0", "file_id": "none"}])


@pytest.mark.parametrize(
    ("option", "left"),
    [
        ({"ide0": "none,media=cdrom"}, []),
        ({"ide0": "local:iso/a.iso,media=cdrom"}, 1),
        ({"ide1": "none,media=cdrom"}, 1),
        ({"ide0": "none"}, 1),
    ],
)
def test_a_cd_drive_that_the_provider_does_not_look_for(option, left):
    found = completed(change(machine(cdrom=[]), DRIVE, **IMPORT), CONFIG | option)
    assert len(differences(found)) == (left or 0)
