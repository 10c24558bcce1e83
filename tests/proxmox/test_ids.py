"""Choosing VMIDs."""

import pytest

from fleet.findings import Fault
from fleet.proxmox import ids, tasks
from fleet.proxmox.client import Guest
from fleet.proxmox.errors import Refused
from tests.helpers.machines import made


@pytest.mark.parametrize(
    ("files", "known", "taken", "hidden", "expected", "problem"),
    [
        ({"a": None}, {}, {}, (), {"a": 500}, ""),
        ({"a": None, "b": None}, {}, {500: "x", 501: "y"}, (), {"a": 502, "b": 503}, ""),
        ({"a": None}, {"a": 612}, {612: "a (Terraform's state)"}, (), {"a": 612}, ""),
        ({"a": 120}, {}, {}, (), {"a": 120}, ""),
        ({"a": 120}, {"a": 120}, {120: "a on node01"}, (), {"a": 120}, ""),
        ({"a": None, "b": 500}, {}, {}, (), {"a": 501, "b": 500}, ""),
        # Offline, by the input that was written before.
        ({"a": 500, "b": None}, {"b": 500}, {}, (), {"a": 500, "b": 501}, ""),
        # Taken by a machine that the token may not see.
        ({"a": None}, {}, {}, (500, 501), {"a": 502}, ""),
        ({"a": 9000}, {}, {9000: "ubuntu24-template on node01"}, (), {}, "belongs to ubuntu24-template"),
        ({"a": 120, "b": 120}, {}, {}, (), {"a": 120}, "vmid: 120 belongs to a (a.yaml)"),
        # Another VMID in the file than the machine has: the plan guard's matter.
        ({"a": 700}, {"a": 612}, {612: "a"}, (), {"a": 700}, ""),
        ({"a": None}, {}, dict.fromkeys(range(500, 9000), "x"), (), {}, "vmid: no VMID from 500 to 8999 is free"),
    ],
)  # fmt: skip
def test_vmids(files, known, taken, hidden, expected, problem):
    machines = {name: made(name)._replace(vmid=vmid) for name, vmid in files.items()}
    chosen, findings = ids.choose(machines, known, taken, lambda vmid: vmid not in hidden)
    assert chosen == expected
    assert problem in "".join(finding.message for finding in findings)
    assert bool(problem) == bool(findings)


TASK = tasks.parse("UPID:node01:0000A1B2:00C3D4E5:66554433:qmclone:120:ci@pve!gitops:")
TAKEN = (  # what Proxmox says of VMID 9000 to whoever comes second, of a clone in its task as well
    Refused("unable to create VM 9000 - VM 9000 already exists on node 'node01'", 500),
    Refused("unable to create VM 9000 - CT 9000 already exists on node 'node02'", 500),
    Refused("unable to create VM 9000: config file already exists", 500),
    tasks.Failed(TASK, "unable to create VM 9000: config file already exists"),
    tasks.Failed(TASK, "can't lock file '/var/lock/qemu-server/lock-9000.conf' - got timeout"),
    tasks.Failed(
        TASK, "close (rename) atomic file '/etc/pve/nodes/node01/qemu-server/9000.conf' failed: File exists"
    ),
)
OTHERWISE = (
    Refused("Permission check failed", 403),
    tasks.Failed(TASK, "can't lock file '/var/lock/qemu-server/lock-120.conf' - got timeout"),
    tasks.Failed(
        TASK, "unable to create VM 9000 - disk image '/images/9000/vm-9000-disk-0.raw' already exists"
    ),
)


@pytest.mark.parametrize("fault", TAKEN)
def test_who_comes_second_tries_the_next_vmid(fault):
    def create(number):
        if number == 9000:
            raise fault

    assert ids.claim(ids.TEMPLATES, {}, lambda number: True, create, lambda text: None) == (9001, None)


@pytest.mark.parametrize("fault", OTHERWISE)
def test_another_failure_is_not_tried_again(fault):
    def create(number):
        raise fault

    with pytest.raises(Fault) as error:
        ids.claim(ids.TEMPLATES, {}, lambda number: True, create, print)
    assert error.value is fault


@pytest.mark.parametrize(
    ("strangers", "used", "given"),
    [
        ((), {}, 9000),
        ((), {9000: "debian12-template on node01"}, 9001),
        ((9000,), {}, 9001),  # taken between the question and the creation
        ((9000, 9001, 9002, 9003), {}, 9004),
        (range(9000, 9005), {}, None),
    ],
)
def test_the_creation_decides_who_gets_a_vmid(strangers, used, given):
    said = []

    def create(number):
        if number in strangers:
            raise Refused(f"unable to create VM {number} - VM {number} already exists on node 'node01'", 500)
        return "UPID"

    def claim():
        return ids.claim(ids.TEMPLATES, used, lambda number: True, create, said.append)

    if given:
        assert claim() == (given, "UPID")
    else:
        with pytest.raises(Fault, match="no VMID from 9000 to 9999 could be had"):
            claim()
    assert len(said) == len(strangers)


def test_vmids_of_files_and_of_guests_are_used(tmp_path):
    (tmp_path / "k8s-dev.yaml").write_text("name: k8s-dev\nvmid: 700\n")
    (tmp_path / "other.yaml").write_text("name: other\n")
    cluster = [Guest(100, "ct", "node02", False, "running", "", container=True)]
    found = ids.used(cluster, tmp_path)
    assert found.keys() == {700, 100}
    assert found[100] == "ct on node02" and found[700].endswith("k8s-dev.yaml")
