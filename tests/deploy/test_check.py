"""What `make deploy` checks before the first change: each thing in the way with its owner and the way out."""

import contextlib
import json
from collections.abc import Callable

import pytest

from fleet.deploy import check
from fleet.findings import Fault
from fleet.lifecycle import create
from fleet.proxmox import tasks
from lab.proxmox import access, allocation, containers, faults, state
from tests.deploy.conftest import NODE, TEMPLATE, THREE, ceph, small


@pytest.fixture
def checked(lab, tmp_path):
    """Runs the check alone: the facts, or what is in the way."""

    def run(*machines) -> list[dict]:
        config = str(tmp_path / "vm_config.yml")
        return lab.step(check, machines=list(machines), config=config, check=True).facts["machines"]

    return run


@pytest.fixture
def refused(checked) -> Callable[..., str]:
    def run(*machines) -> str:
        with pytest.raises(Fault) as caught:
            checked(*machines)
        return str(caught.value)

    return run


def test_vmids_are_the_lowest_free_ones_in_the_machines_order(lab, checked):
    containers.add(501, "web")
    old = allocation.allocate(NODE, "tank", 502, 10 << 30)  # a former machine's
    try:
        for _ in range(2):
            found = checked(ceph(1), ceph(2, vmid=503), ceph(3), small("four"))
            assert [one["proxmox_vm_vmid"] for one in found] == [500, 503, 504, 505]
        assert any("VMID 502 is free, but has volumes of a former machine" in line for line in lab.said)
    finally:
        containers.remove(501)
        allocation.free(NODE, old)
    assert lab.names() == {TEMPLATE}


def test_what_will_happen_is_a_table(lab, checked):
    lab.created("ceph-1")
    lab.step(create, stage="clone", name="ceph-2", template_vmid=9000)
    checked(*THREE)
    rows = lab.said[-1].splitlines()
    assert rows[0].split() == ["machine", "VMID", "node", "made", "from", "disks", "address"]
    assert [row.split()[:3] for row in rows[1:]] == [[f"ceph-{n}", f"{499 + n}", NODE] for n in (1, 2, 3)]
    assert [row.rpartition("  ")[2] for row in rows[1:]] == ["is there", "is continued", "new"]
    assert "scsi0 50G local-lvm, scsi1 to scsi4 1000G tank, scsi5 100G tank" in rows[3]
    room = next(line for line in lab.said if line.startswith("tank on node01 (zfspool) is thin"))
    assert "8200G are added" in room and "which is more than it has: watch it" in room


def of_the_fleet(lab):
    yield [small("k8s-home")], "k8s-home: k8s-home belongs to Terraform", "edit proxmox/vms/k8s-home.yaml"


def addresses_of_the_fleet(lab):
    machine = ceph(1, cloud_init_ip="192.0.2.10/24", cloud_init_gw="192.0.2.1")
    yield (
        [machine],
        "ceph-1: is to get 192.0.2.10, which is that of k8s-home (",
        "choose another in VM_ADDRESSES",
    )


def an_address_of_another(lab):
    lab.created("box", cloud_init_ip="192.168.1.61/24", cloud_init_gw="192.168.1.1")
    yield [ceph(1)], "is to get 192.168.1.61, which is that of box (VMID 500 on node01)"


def the_address_of_proxmox(lab):
    yield [ceph(1, cloud_init_ip="192.168.1.1/24", cloud_init_gw="192.168.1.2")], "that of Proxmox's API"


def a_container_with_the_id(lab):
    containers.add(600, "web")
    yield (
        [ceph(1, vmid=600)],
        "ceph-1: is to get VMID 600, which the container web on node01 has: choose another in VM_IDS",
    )
    containers.remove(600)


def a_container_with_the_name(lab):
    containers.add(600, "ceph-1")
    yield (
        [ceph(1)],
        "is the name of the container ceph-1 too (VMID 600 on node01): choose another in VM_NAMES",
    )
    containers.remove(600)


def another_machine_with_the_id(lab):
    lab.created("box", vmid=600)
    yield [ceph(1, vmid=600)], "is to get VMID 600, which box on node01 has"


def an_id_of_templates(lab):
    yield [ceph(1, vmid=9500)], "ceph-1: proxmox_vm_vmid is 9500, but 9000 to 9999 are templates"


def the_name_with_another_id(lab):
    lab.created("ceph-1", vmid=600)
    yield [ceph(1, vmid=601)], "is VMID 600 on node01, and VM_IDS says 601: write 600 there"


def of_a_stranger(lab):
    lab.created("ceph-1")
    lab.api.put(f"nodes/{NODE}/qemu/500/config", tags="", description="")
    yield [ceph(1)], "ceph-1 (VMID 500 on node01) exists already and was not made by this role"


def renamed(lab):
    lab.created("ceph-2")
    lab.api.put(f"nodes/{NODE}/qemu/500/config", name="storage-2")
    yield (
        [ceph(2)],
        "ceph-2: was made as VMID 500 on node01, which is called storage-2 now",
        "rename it to ceph-2",
    )


def a_node_offline(lab):
    with faults.injected({"offline": "node02"}):
        machine = small(
            "app", node="node02", cloud_image_url="https://example.org/a.img", allow_not_verified=True
        )
        yield [machine], "node node02 is offline; start it, or choose another: node01"


def a_node_that_is_not_there(lab):
    yield (
        [ceph(1, node="pve1")],
        "proxmox_vm_node is pve1, which the cluster does not have: it has node01, node02",
    )


def a_template_elsewhere(lab):
    yield (
        [ceph(1, node="node02")],
        "is on local-lvm, which node02 cannot read: build the template on node02 too",
    )


def no_template(lab):
    machines = [ceph(number, template_name="ubuntu25-template") for number in (1, 2)]
    yield machines, "ceph-1, ceph-2: there is no template ubuntu25-template: did you mean ubuntu24-template?"


def no_storage(lab):
    yield (
        [ceph(1, disks={"scsi1": {"size": "1G", "storage": "tnak"}})],
        "disks.scsi1.storage is tnak, which is not there",
    )


def a_full_disk_on_a_thick_storage(lab):
    machines = [ceph(number, disks={"scsi1": {"size": "300G", "storage": "vg"}}) for number in (1, 2)]
    yield (
        machines,
        "ceph-1, ceph-2: the new disks need 600G on vg on node01 (lvm), which has 500G left of 500G",
    )


def a_disk_that_would_shrink(lab):
    yield [ceph(1, disks={"scsi0": "1G"})], "the disk has 3G and cannot become 1G: disks only grow"


def two_of_one(lab):
    machines = [ceph(1, vmid=600), ceph(2, vmid=600, cloud_init_ip="192.168.1.61/24"), ceph(1)]
    yield (
        machines,
        "ceph-2 has the VMID 600, which ceph-1 has too",
        "ceph-2 has the address 192.168.1.61, which ceph-1 has too",
        "ceph-1 is asked for twice",
    )


def a_right_that_is_missing(lab):
    data = access.read()
    before = json.dumps(data)
    data["roles"]["GitOps"].remove("VM.Config.Disk")
    access.write(data)
    yield [ceph(1)], "lacks VM.Config.Disk on /vms: `pveum role modify GitOps -append -privs VM.Config.Disk`"
    access.write(json.loads(before))


def an_unknown_variable(lab):
    yield (
        [{"proxmox_vm_name": "app", "vm_cores": 2}],
        "app: vm_cores is not a variable of the role proxmox_vm",
    )


IN_THE_WAY = (of_the_fleet, addresses_of_the_fleet, an_address_of_another, the_address_of_proxmox,
              a_container_with_the_id, a_container_with_the_name, another_machine_with_the_id, an_id_of_templates,
              the_name_with_another_id, of_a_stranger, renamed, a_node_offline, a_node_that_is_not_there,
              a_template_elsewhere, no_template, no_storage, a_full_disk_on_a_thick_storage, a_disk_that_would_shrink,
              two_of_one, a_right_that_is_missing, an_unknown_variable)  # fmt: skip


@pytest.mark.parametrize("why", IN_THE_WAY, ids=lambda why: why.__name__)
def test_in_the_way(lab, refused, why):
    situation = why(lab)
    machines, *expected = next(situation)
    before = lab.names()
    said = refused(*machines)
    after = lab.names()
    next(situation, None)
    assert [words for words in expected if words not in said] == [], said
    assert after == before


def test_all_that_is_in_the_way_is_told_at_once(lab, refused):
    containers.add(600, "web")
    try:
        said = refused(
            ceph(1, vmid=600), ceph(2, node="pve9"), ceph(3, template_name="x-template"), small("ok")
        )
    finally:
        containers.remove(600)
    assert said.startswith("nothing was changed:\n- ") and said.count("\n- ") == 3


def test_a_copy_beside_its_machine_is_in_nobodys_way(lab, checked):
    lab.created("ceph-2")
    description = lab.api.config(NODE, 500)["description"]
    upid = lab.api.post(f"nodes/{NODE}/qemu/500/clone", newid=501, name="copy", full=1)
    tasks.wait(lab.api, upid, pause=0.1)
    assert lab.api.config(NODE, 501)["description"] == description
    assert checked(ceph(2))[0]["proxmox_vm_vmid"] == 500


def test_what_a_creation_left_that_was_cut_off_at_once(lab, checked):
    with faults.injected({"match": "STEP qmcreate:500 scsi1", "kill": True}), contextlib.suppress(Fault):
        upid = lab.api.post(f"nodes/{NODE}/qemu", vmid=500, name="app", scsi1="tank:1", scsi2="tank:1")
        tasks.wait(lab.api, upid, pause=0.1)
    assert checked(small("app"))[0]["proxmox_vm_vmid"] == 501
    assert any(line.startswith("VMID 500 on node01 has no name and is locked (create)") for line in lab.said)
    guest = state.root() / f"nodes/{NODE}/qemu-server/500.json"
    guest.unlink()
    for volume in lab.api.get(f"nodes/{NODE}/storage/tank/content"):
        allocation.free(NODE, volume["volid"])


def test_terraforms_outputs_are_compared_where_they_can_be_read(lab, refused, checked, monkeypatch):
    monkeypatch.setenv("PG_CONN_STR", "postgres://nobody@localhost/none")
    machine = {"address": "192.168.1.61", "user": "suporte", "node": NODE, "vmid": 600}
    outputs = {"ansible_inventory": {"value": {"ceph-2": machine}}}
    monkeypatch.setattr("fleet.terraform.outputs.load", lambda _: outputs)
    said = refused(ceph(1, vmid=600), ceph(2))
    assert "ceph-1: is to get VMID 600, which belongs to ceph-2 in Terraform's outputs" in said
    assert "ceph-1: is to get 192.168.1.61, which is that of ceph-2 in Terraform's outputs" in said
    assert "ceph-2: is a machine of Terraform (VMID 600 on node01)" in said

    def broken(_):
        raise Fault("terraform output: \x1b[31mError: \x1b[0mBackend initialization required\n\nrun init")

    monkeypatch.setattr("fleet.terraform.outputs.load", broken)
    assert checked(ceph(1))
    assert "Terraform's outputs are not compared: Backend initialization required" in lab.said


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"match": "GET /cluster/resources", "status": 500, "message": "got timeout"}, "with 500: got timeout"),
        ({"match": "GET /cluster/resources", "status": 401, "message": "invalid token"}, "does not know the token"),
        ({"match": "GET /nodes$", "status": 595, "message": "No route to host"}, "does not answer the cluster"),
    ],
    ids=["error", "token", "595"],
)  # fmt: skip
def test_proxmox_has_a_bad_day(lab, refused, fault, said):
    with faults.injected(fault):
        assert said in refused(ceph(1))


def test_no_machine_is_fine(checked):
    assert checked() == []
