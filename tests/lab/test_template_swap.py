"""A template is rebuilt under a new VMID and takes over the name: Terraform's plan of the fleet stays empty."""

import json

import pytest

from tests.helpers.fleet import Fleet, clean, config, pve

NAME = "base"
# What a clone would inherit; a protected template is refused before.
INHERITED = {"description": "built on 2026-11-27", "tags": "debian12", "onboot": 1}


@pytest.fixture
def fleet(proxmox, tmp_path):
    yield Fleet(tmp_path / "fleet")
    clean()


def template(vmid: int, name: str = NAME, node: str = "node01", **more) -> None:
    """A template of its own disk, as a build makes it."""
    fields = {"scsi0": "local-lvm:3", "ide2": "local-lvm:cloudinit", "scsihw": "virtio-scsi-single"}
    pve("create", f"/nodes/{node}/qemu", vmid=vmid, name=name, net0="virtio,bridge=vmbr0", **fields, **more)
    pve("create", f"/nodes/{node}/qemu/{vmid}/template")


def call(vmid: int, name: str, tags: str = "") -> None:
    pve("set", f"/nodes/node01/qemu/{vmid}/config", name=name, tags=tags)


def nothing_changes(fleet: Fleet) -> None:
    status, output = fleet.plan()
    assert (status, "No changes." in output) == (0, True), output


def made_from(fleet: Fleet) -> dict:
    """By machine, the template that Terraform's outputs name."""
    done = fleet.terraform("output", "-json", "templates")
    return json.loads(done.stdout)


def test_a_swap_changes_no_machine_that_exists(fleet):
    template(9001, **INHERITED)
    fleet.write("full", 20, clone=NAME, vm_state="stopped", onboot=False)
    fleet.write("linked", 21, clone=NAME, vm_state="stopped", onboot=False, full_clone=False,
                disks={"scsi0": {"size": "3G"}})  # fmt: skip
    fleet.commit()
    status, output = fleet.apply()
    assert status == 0, output
    assert made_from(fleet) == {"full": "node01/9001", "linked": "node01/9001"}
    nothing_changes(fleet)

    template(9002, f"{NAME}-building", tags="building")
    nothing_changes(fleet)
    call(9001, f"{NAME}-20261127", "retired")  # there is none of the name now
    nothing_changes(fleet)
    fleet.write("later", 22, clone=NAME, vm_state="stopped", onboot=False)
    fleet.commit()
    status, output = fleet.apply()
    assert (status, f"Proxmox has no template {NAME}; it has ubuntu24-template" in output) == (1, True), (
        output
    )
    call(9002, NAME)
    pve("set", "/nodes/node01/qemu/9002/config", **INHERITED)
    status, output = fleet.apply()
    assert status == 0, output
    assert made_from(fleet) == {
        "full": "node01/9001",
        "linked": "node01/9001",
        "later": "node01/9002",
    }
    for vmid, name in ((500, "full"), (501, "linked"), (502, "later")):
        has = config(vmid)
        kept = (has["description"], has["tags"], int(has.get("onboot", 0)), int(has.get("protection", 0)))
        assert kept == (f"proxmox-gitops: {name}", "proxmox-gitops", 0, 0)

    template(9003)  # against the rule, two of one name; and one elsewhere
    template(9100, node="node02")
    nothing_changes(fleet)
    fleet.write("newest", 23, clone=NAME, vm_state="stopped")
    fleet.commit()
    status, output = fleet.apply()
    assert (status, made_from(fleet)["newest"]) == (0, "node01/9003"), output

    for vmid in (9002, 9003):
        call(vmid, f"{NAME}-{vmid}", "retired")
    nothing_changes(fleet)
    # The only one elsewhere is taken; of two neither is.
    fleet.write("elsewhere", 24, clone=NAME, vm_state="stopped", target_node="node02")
    fleet.commit()
    status, output = fleet.apply()
    assert (status, made_from(fleet)["elsewhere"]) == (0, "node02/9100"), output
    template(9101, node="node02")
    fleet.write("neither", 25, clone=NAME, vm_state="stopped")
    fleet.commit()
    status, output = fleet.apply()
    refused = f"node01 has no template {NAME}, and node02 (VMID 9100) and node02 (VMID 9101) have one each"
    assert (status, refused in output) == (1, True), output
    fleet.remove("neither")
    for vmid in (9100, 9101):
        pve("set", f"/nodes/node02/qemu/{vmid}/config", name=f"{NAME}-{vmid}")
    nothing_changes(fleet)


def test_a_template_whose_conversion_was_cut_off(fleet):
    """Its flag is set before its disks are converted; a machine that exists is not concerned."""
    template(9001)
    fleet.write("there", 20, clone=NAME, vm_state="stopped")
    fleet.commit()
    assert fleet.apply()[0] == 0
    call(9001, "replaced")
    pve("create", "/nodes/node01/qemu", vmid=9002, name=NAME, scsi0="local-lvm:3", net0="virtio,bridge=vmbr0")
    pve("set", "/nodes/node01/qemu/9002/config", template=1)
    nothing_changes(fleet)
    fleet.write("new", 21, clone=NAME, vm_state="stopped")
    fleet.commit()
    status, output = fleet.apply()
    said = "scsi0 of template base (VMID 9002 on node01) is local-lvm:vm-9002-disk-0, and no base image"
    assert (status, said in output) == (1, True), output
