"""Which template a machine is cloned from."""

import pytest

from fleet.preflight import offered
from tests.helpers.machines import TEMPLATE, TEMPLATE_CONFIG, made

NAME = TEMPLATE.name


def template(vmid: int, node: str = "node01", *tags: str, name: str = NAME):
    return TEMPLATE._replace(vmid=vmid, node=node, tags=tags, name=name)


@pytest.mark.parametrize(
    ("cluster", "vmid"),
    [
        ([template(9000)], 9000),
        ([template(9000, "node02")], 9000),  # the only one
        ([template(9001), template(9000), template(9010, "node02")], 9001),  # on the node the newest
        ([template(9000), template(9010, "node02"), template(9011, "node03")], 9000),
        ([template(9000, "node02"), template(9001, "node03")], None),
        ([template(9000, "node01", "retired"), template(9001, "node02")], 9001),
        ([template(9000), template(9001, "node01", "building")], 9000),
        ([template(9000, "node01", "a", "building"), template(9001, "node01", "retired")], None),
        ([template(9001)._replace(template=False)], None),
        ([], None),
    ],
)
def test_the_template_of_a_name(cluster, vmid):
    found = offered.template_of(made("a"), cluster)
    assert (found and found.vmid) == vmid


def test_a_name_that_says_that_it_is_being_built():
    building = template(9001, name=f"{NAME}-building")
    assert offered.template_of(made("a", clone=building.name), [building]) is None


BUILD = "`make template IMAGE=ubuntu24`"


@pytest.mark.parametrize(
    ("clone", "cluster", "said"),
    [
        (NAME, [], f"Proxmox has no template {NAME}; it has none; build it with {BUILD}"),
        (NAME, [template(9000, name="debian12-template")],
         f"Proxmox has no template {NAME}; it has debian12-template; build it with {BUILD}"),
        ("ubuntu24-templat", [TEMPLATE],
         f"Proxmox has no template ubuntu24-templat; it has {NAME}; did you mean {NAME}?"),
        ("9000", [TEMPLATE], f"9000 is a VMID; write the template's name, {NAME}"),
        (NAME, [template(9000, "node02"), template(9001, "node03")],
         f"node01 has no template {NAME}, and node02 (VMID 9000) and node03 (VMID 9001) have one each; build one"
         " with `make template IMAGE=ubuntu24 NODE=node01`, or choose one of these nodes as target_node"),
        (NAME, [template(9000, "node01", "retired"), template(9001, "node01", "building")],
         f"Proxmox has {NAME} only as a template that is being built or was replaced (node01 (VMID 9000) and node01"
         f" (VMID 9001)); wait until its build has ended, or run {BUILD}"),
        (NAME, [template(9000)._replace(container=True)],
         f"Proxmox has no template {NAME}; it has none; build it with {BUILD}"),
    ],
)  # fmt: skip
def test_why_there_is_none(clone, cluster, said):
    machine = made("a", clone=clone)
    assert offered.template_of(machine, cluster) is None
    finding = offered.none_offered(machine, cluster)
    assert (finding.message, finding.line) == (f"clone: {said}", 5)


CUT_OFF = (
    "clone: scsi0 of template ubuntu24-template (VMID 9000 on node01) is {}, and no base image: its conversion was cut"
    f" off; repair it with {BUILD}, or on node01 with `qm set 9000 --template 0` and `qm template 9000`"
)


@pytest.mark.parametrize(
    ("disk", "type_", "refused"),
    [
        ("local-lvm:base-9000-disk-0", "lvmthin", False),
        ("local-lvm:9000/base-9000-disk-0.qcow2", "dir", False),
        ("local-lvm:vm-9000-disk-0", "lvmthin", True),
        ("local-lvm:9000/vm-9000-disk-0.qcow2", "nfs", True),
        ("local-lvm:vm-9000-disk-0", "lvm", False),
        ("local-lvm:vm-9000-disk-0", "of-a-plugin", False),
        ("local-lvm:vm-9000-disk-0", None, False),  # which the token may not see
    ],
)
def test_a_conversion_that_was_cut_off(disk, type_, refused):
    config = {"scsi0": f"{disk},size=3G", "ide2": "local-lvm:vm-9000-cloudinit,media=cdrom"}
    storages = {"local-lvm": {"type": type_}} if type_ else {}
    found = offered.half_converted(made("a"), TEMPLATE, config, storages)
    assert [one.message for one in found] == [CUT_OFF.format(disk)] * refused


def test_an_efi_disk_is_no_sign_of_it():
    config = TEMPLATE_CONFIG[9000] | {"efidisk0": "local-lvm:vm-9000-disk-1,efitype=4m"}
    assert offered.half_converted(made("a"), TEMPLATE, config, {"local-lvm": {"type": "lvmthin"}}) == []
