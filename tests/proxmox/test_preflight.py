"""What must exist in Proxmox before a machine can be made."""

import pytest

from fleet.proxmox import preflight
from tests.helpers.machines import TEMPLATE, TEMPLATE_CONFIG, Cluster, made


@pytest.mark.parametrize(
    ("fields", "machines", "problem"),
    [
        ({}, [TEMPLATE], ""),
        ({}, [], "Proxmox has no template ubuntu24-template; it has none"),
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


def test_of_two_templates_the_newest_on_the_target_node_is_taken():
    newer = TEMPLATE._replace(vmid=9002)
    elsewhere = TEMPLATE._replace(vmid=9010, node="node02")
    for machines, vmid in (
        ([newer, TEMPLATE, elsewhere], 9002),
        ([elsewhere], 9010),
        ([TEMPLATE, elsewhere], 9000),
    ):
        assert preflight.template_of(made("a"), machines)[0].vmid == vmid
