"""`make deploy`: three Ceph nodes with six disks each, and what it says of machines that are there."""

import re

from fleet.lifecycle import modify, power
from tests.deploy.conftest import NODE, STORAGE, TEMPLATE, THREE, ceph

# How often Proxmox is asked, without waiting for tasks and agents: counted, so that a change that doubles it is seen.
CALLS = {"check of 3": 57, "3 new": 114, "3 that are there": 21, "1 new": 46, "1 that is there": 9}


def test_three_ceph_nodes(lab, deployments):
    checked, of_check = deployments.counted(THREE, "--check", "--diff")
    assert checked.code == 0, checked.output
    assert lab.names() == {TEMPLATE}
    assert "would be made" in checked.output
    made, of_new = deployments.counted(THREE)
    assert (made.code, made.changed) == (0, checked.changed), made.output
    assert lab.names() == {TEMPLATE, "ceph-1", "ceph-2", "ceph-3"}
    for number in (1, 2, 3):
        vmid = 499 + number
        config = lab.api.config(NODE, vmid)
        assert (config["name"], config["tags"]) == (f"ceph-{number}", "ansible")
        assert config["description"].strip() == f"ansible-vm: ceph-{number} from {TEMPLATE}"
        assert f"ip=192.168.1.{60 + number}/24" in config["ipconfig0"]
        disks = {slot: config[slot] for slot in (f"scsi{slot}" for slot in range(6))}
        assert ["size=50G" in disks["scsi0"], *("size=1000G" in disks[f"scsi{slot}"] for slot in range(1, 5))]
        for slot in range(1, 6):
            assert disks[f"scsi{slot}"].startswith(f"{STORAGE}:vm-{vmid}-disk-")
            assert {"discard=on", "ssd=1", "iothread=1"} <= set(disks[f"scsi{slot}"].split(","))
        # All new disks in one call, and each line says whose it is.
        assert made.output.count(f":qmconfig:{vmid}:") == 1
        assert f"  ceph-{number}: UPID:{NODE}:" in made.output
    assert all(guest.status == "running" for guest in lab.api.guests() if guest.name.startswith("ceph"))
    again, of_old = deployments.counted(THREE)
    assert (again.code, again.changed) == (0, 0), again.output
    assert again.output.count("is there already and is as asked for") == 3
    # What somebody changed is told, with the command that changes it back, and left alone.
    lab.step(modify, name="ceph-2", cores=8)
    lab.step(power, power="stop", name="ceph-1")
    other = deployments.deploy([*THREE[:2], ceph(3, memory=8192)])
    assert (other.code, other.changed) == (0, 0), other.output
    assert "ceph-2: cores is 8, wanted 4" in other.output
    assert re.search(r"ceph-3: memory is \d+, wanted 8192", other.output)
    way_out = "proxmox/manage-platform.sh -h node01 proxmox_vm modify -- -e"
    assert f'{way_out} \'{{"proxmox_vm_name": "ceph-2", "proxmox_vm_cores": 4}}\'' in other.output
    assert lab.api.config(NODE, 501)["cores"] == 8
    assert "ceph-1   500   node01  stopped  is there already" in other.output  # switched off, and left so
    assert {"check of 3": of_check, "3 new": of_new, "3 that are there": of_old}.items() <= CALLS.items()


def test_one_machine(lab, deployments):
    made, of_new = deployments.counted([ceph(1)])
    again, of_old = deployments.counted([ceph(1)])
    assert (made.code, again.code, again.changed) == (0, 0, 0)
    assert {"1 new": of_new, "1 that is there": of_old}.items() <= CALLS.items()
