"""What must exist in Proxmox before a machine can be made."""

import pytest

from fleet.preflight import needs as preflight
from tests.helpers.machines import TEMPLATE, TEMPLATE_CONFIG, Cluster, made


@pytest.mark.parametrize(
    ("fields", "machines", "problem"),
    [
        ({}, [TEMPLATE], ""),
        ({}, [], "Proxmox has no template ubuntu24-template; it has none"),
        (
            {"clone": "9000"},
            [TEMPLATE],
            "clone: 9000 is a VMID; write the template's name, ubuntu24-template",
        ),
        (
            {"target_node": "node09"},
            [TEMPLATE],
            "node09 is not a node of the cluster, which has node01, node02",
        ),
        ({"target_node": "node02"}, [TEMPLATE], "node02 is offline"),
        (
            {"disks": {"scsi0": {"size": "3G", "storage": "local-lvm"}}},
            [TEMPLATE],
            "the template's disk has 3.5G",
        ),
        ({"disks": {"scsi0": {"size": "9G", "storage": "local"}}}, [TEMPLATE], "local-lvm can"),
        ({"network": {"bridge": "vmbr9"}}, [TEMPLATE], "node01 has no bridge vmbr9; it has vmbr0"),
    ],
)
def test_what_a_new_machine_needs(fields, machines, problem):
    machine = made("k8s-dev", **fields)
    found = preflight.needs(Cluster(machines, TEMPLATE_CONFIG), machines, {"k8s-dev": machine})
    assert problem in "".join(finding.message for finding in found)
    assert bool(problem) == bool(found)


CLOUD_INIT = {"ide2": "local-lvm:vm-9000-cloudinit,media=cdrom"}
ELSEWHERE = {"scsi1": "local-lvm:vm-9000-cloudinit,media=cdrom"}


@pytest.mark.parametrize(
    ("config", "fields", "problem"),
    [
        ({"protection": 1}, {}, "k8s-dev could not be destroyed, though its file does not say so"),
        ({"protection": "1"}, {}, "k8s-dev could not be destroyed"),
        ({"protection": 1} | CLOUD_INIT, {}, "refuse to replace the cloud-init drive"),
        ({"protection": 1} | CLOUD_INIT, {"protection": True}, "refuse to replace the cloud-init drive"),
        ({"protection": 1} | ELSEWHERE, {"protection": True}, "refuse to replace the cloud-init drive"),
        ({"protection": 1}, {"protection": True}, ""),
        ({"protection": 0} | CLOUD_INIT, {}, ""),
        (CLOUD_INIT, {}, ""),
    ],
)
def test_a_protected_template_is_refused_before_the_clone(config, fields, problem):
    machine = made("k8s-dev", **fields)
    cluster = Cluster([TEMPLATE], {9000: TEMPLATE_CONFIG[9000] | config})
    found = preflight.needs(cluster, [TEMPLATE], {"k8s-dev": machine})
    text = "".join(f"{finding.level} {finding.text()}" for finding in found)
    assert problem in text and bool(problem) == bool(found)
    if problem:
        assert text.startswith("error k8s-dev.yaml:5:1: clone: template ubuntu24-template is protected")
        assert "; run `qm set 9000 --protection 0` on node01" in text
