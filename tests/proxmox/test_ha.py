"""What the HA manager has of the machines whose files say `ha`."""

import pytest

from fleet.proxmox import ha
from fleet.proxmox.errors import Refused
from tests.helpers.machines import Cluster, made

RESOURCES, GROUPS = "cluster/ha/resources", "cluster/ha/groups"
GIVEN = {"state": "started"}
RULES = Refused("GET cluster/ha/groups: 500 cannot index groups: ha groups have been migrated to rules", 500)
CASES = [
    # what the file says, what Proxmox has, what the state has, the services to take over, what is wrong
    (GIVEN, {RESOURCES: []}, (), {}, []),
    (GIVEN, {RESOURCES: [{"sid": "vm:500"}]}, (), {"a": "vm:500"}, []),
    (GIVEN, {RESOURCES: [{"sid": "vm:500"}]}, ("a",), {}, []),
    (GIVEN, {RESOURCES: [{"sid": "vm:501"}]}, (), {}, []),
    ("none", {RESOURCES: []}, (), {}, []),
    ("none", {RESOURCES: [{"sid": "vm:500"}]}, ("a",), {}, []),
    ("none", {RESOURCES: [{"sid": "vm:500"}]}, (), {},
     ["ha: is none, but somebody gave a (vm:500) to HA in Proxmox; take it out there"]),
    (GIVEN | {"group": "site"}, {RESOURCES: [], GROUPS: [{"group": "site"}]}, (), {}, []),
    (GIVEN | {"group": "site"}, {RESOURCES: [], GROUPS: [{"group": "east"}]}, (), {},
     ["ha.group: site is not an HA group of the cluster, which has east"]),
    (GIVEN | {"group": "site"}, {RESOURCES: [], GROUPS: RULES}, (), {},
     ["ha.group: site cannot be used: this Proxmox has HA rules instead of groups; remove it, and add a rule"]),
]  # fmt: skip


@pytest.mark.parametrize(("says", "told", "recorded", "imports", "wrong"), CASES)
def test_services(says, told, recorded, imports, wrong):
    found, findings = ha.services(Cluster(told=told), {"a": made("a", ha=says)}, {"a": 500}, recorded)
    assert (found, [one.message for one in findings]) == (imports, wrong)


def test_nothing_is_asked_where_no_file_says_ha():
    cluster = Cluster()
    assert ha.services(cluster, {"a": made("a")}, {"a": 500}, ()) == ({}, [])
    assert cluster.asked == []
