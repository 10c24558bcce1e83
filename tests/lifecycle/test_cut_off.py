"""A machine with six disks whose creation is cut off: the next run completes it, and no disk is made twice."""

import contextlib

import pytest

from fleet.findings import Fault
from fleet.lifecycle import create, finish, modify
from lab.proxmox import allocation, faults
from tests.lifecycle.conftest import TEMPLATE

STAGES = ("resize", "cloud_init", "finish")
SIX = {f"scsi{slot}": {"size": "10G", "storage": "tank"} for slot in range(1, 5)} | {"scsi5": "3G"}
WANTED = {"name": "app", "template_vmid": TEMPLATE, "disks": {"scsi0": "8G", **SIX}}


def volumes(lab, vmid=500):
    """The volumes that a VMID has, by storage."""
    return {
        storage: sorted(
            one["volid"]
            for one in lab.api.get(f"nodes/node01/storage/{storage}/content", content="images")
            if int(one["vmid"]) == vmid and "cloudinit" not in one["volid"]
        )
        for storage in ("local-lvm", "tank")
    }


def run(lab):
    """One run of the role, as its task file create_vm.yml has it."""
    made = lab.step(create, stage="clone", **WANTED)
    said = list(lab.said)
    for stage in () if made.facts["finished"] else STAGES:
        lab.step(finish, stage=stage, **WANTED | {"vmid": made.facts["vmid"]})
        said += lab.said
    return said


@pytest.mark.parametrize("slot", ["scsi1", "scsi3", "scsi5"])
def test_proxmox_is_killed_in_the_middle_of_six_disks(lab, slot):
    with faults.injected({"match": f"STEP qmconfig:500 {slot}", "kill": True}), pytest.raises(Fault):
        run(lab)
    count = int(slot[-1])
    left = volumes(lab)
    assert sum(map(len, left.values())) == 1 + count  # the system's disk, and those that nothing names
    assert not any(f"scsi{number}" in lab.api.config("node01", 500) for number in range(1, 6))
    said = run(lab)
    assert len([line for line in said if "which an interrupted run has left" in line]) == count
    config = lab.api.config("node01", 500)
    assert all(
        f"size={size}G" in config[f"scsi{number}"] for number, size in enumerate((8, 10, 10, 10, 10, 3))
    )
    named = sorted(config[f"scsi{number}"].partition(",")[0] for number in range(6))
    assert named == sorted(volume for some in volumes(lab).values() for volume in some), (
        "each once, and no other"
    )
    assert "discard=on" in config["scsi1"] and "iothread=1" in config["scsi1"]
    assert "(not finished)" not in config["description"]
    before = volumes(lab)
    run(lab)
    assert volumes(lab) == before


@pytest.mark.parametrize("stage", range(3))
def test_our_run_is_killed_between_its_stages(lab, stage):
    lab.step(create, stage="clone", **WANTED)
    for done in STAGES[:stage]:
        lab.step(finish, stage=done, **WANTED)
    run(lab)
    assert {name: len(found) for name, found in volumes(lab).items()} == {"local-lvm": 2, "tank": 4}


def test_a_vmid_with_disks_of_a_former_machine_is_left_alone(lab):
    """They may be somebody's data, and would look like those of an interrupted run."""
    old = allocation.allocate("node01", "tank", 500, 10 << 30)
    try:
        assert lab.step(create, stage="clone", **WANTED).facts["vmid"] == 501
        said = lab.refused(create, stage="clone", **WANTED | {"name": "other", "vmid": 500})
        assert f"VMID 500 is free, but has volumes of a former machine, {old}: remove them" in said
    finally:
        allocation.free("node01", old)


def test_they_are_not_taken_where_disks_are_asked_for_later_only(lab):
    """The run that began it was killed, and then .env got data disks."""
    old = allocation.allocate("node01", "tank", 500, 10 << 30)
    try:
        facts = lab.step(create, stage="clone", name="app", template_vmid=TEMPLATE).facts
        disks = {"scsi1": {"size": "10G", "storage": "tank"}}
        added = lab.step(finish, stage="resize", name="app", vmid=facts["vmid"], disks=disks).after
        assert old not in added["scsi1"] and facts["vmid"] == 501
        said = lab.refused(create, stage="clone", name="other", vmid=500, template_vmid=TEMPLATE)
        assert f"has volumes of a former machine, {old}" in said
    finally:
        allocation.free("node01", old)


def test_a_finished_machine_takes_no_volume_that_nothing_names(lab):
    facts = lab.created("app")
    old = allocation.allocate("node01", "tank", facts["vmid"], 10 << 30)
    lab.step(modify, name="app", disks={"scsi1": {"size": "10G", "storage": "tank"}})
    assert lab.config(facts)["scsi1"].partition(",")[0] != old
    allocation.free("node01", old)


def test_two_runs_finish_one_machine(lab, monkeypatch):
    """The other is always faster: what it has set is looked at again, and nothing is made twice."""
    lab.step(create, stage="clone", **WANTED)
    put, others = finish.put, []

    def late(change, found, changes, disks=False):
        monkeypatch.setattr(finish, "put", put)
        with contextlib.suppress(Fault):
            others.append(finish.run(change, WANTED | {"stage": stage}))
        put(change, found, changes, disks)

    for stage in STAGES:
        monkeypatch.setattr(finish, "put", late)
        lab.step(finish, stage=stage, **WANTED)
    assert len(others) == 3
    assert {name: len(found) for name, found in volumes(lab).items()} == {"local-lvm": 2, "tank": 4}
    assert not any(name.startswith("unused") for name in lab.api.config("node01", 500))
