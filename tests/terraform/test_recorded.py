"""A machine as Terraform's state records it: the same values as those of the file that it was made from."""

import copy
import json

import pytest

from fleet.terraform import recorded, state, tfvars
from fleet.vms.machine import Disk
from tests.helpers.machines import made
from tests.plans.test_plan_guard import MACHINE


def resource(**changed) -> state.Resource:
    attributes = copy.deepcopy(MACHINE) | changed
    disks = tuple(Disk(disk["interface"], disk["size"], disk["datastore_id"]) for disk in attributes["disk"])
    return state.Resource(501, "node01", False, "x", disks, attributes)


def test_the_values_are_those_of_the_file():
    has = MACHINE["initialization"][0]["user_account"][0]
    file = made(
        "k8s-dev",
        ipconfig0="ip=192.168.1.20/24,gw=192.168.1.1,ip6=dhcp",
        description="hello",
        cores=4,
        memory=3072,
        vmid=501,
        boot="order=scsi0",
        disks={"scsi0": {"size": "4G"}, "scsi1": {"size": "3G"}},
        network={"macaddr": "BC:24:11:DF:F8:70"},
    )._replace(sshkeys=tuple(has["keys"]))
    found = recorded.machine("k8s-dev", "vms/k8s-dev.yaml", resource())
    assert tfvars.as_data(found) == tfvars.as_data(file) | {"clone": "unknown"}


def test_what_a_file_may_say_besides():
    settings = copy.deepcopy(MACHINE["initialization"])
    settings[0]["dns"] = [{"domain": "lab.example.org", "servers": ["192.168.1.1"]}]
    settings[0]["ip_config"][0]["ipv6"] = [{"address": "fd00::2/64", "gateway": "fd00::1"}]
    card = MACHINE["network_device"][0] | {"vlan_id": 5, "mtu": 9000, "rate_limit": 10}
    changed = {"initialization": settings, "network_device": [card], "pool_id": "web", "started": False}
    found = tfvars.as_data(recorded.machine("k8s-dev", "x", resource(**changed)))
    assert (found["nameserver"], found["searchdomain"]) == (["192.168.1.1"], "lab.example.org")
    assert found["ipconfig0"] == {
        "ip": "192.168.1.20/24",
        "gw": "192.168.1.1",
        "ip6": "fd00::2/64",
        "gw6": "fd00::1",
    }
    assert [found["network"][key] for key in ("tag", "mtu", "rate")] == [5, 9000, 10]
    assert (found["pool"], found["vm_state"]) == ("web", "stopped")
    json.dumps(found)


def test_a_machine_on_dhcp():
    """Which address is reserved for it is its file's alone; it would not reach Proxmox."""
    settings = copy.deepcopy(MACHINE["initialization"])
    settings[0]["ip_config"] = [{"ipv4": [{"address": "dhcp", "gateway": ""}], "ipv6": []}]
    found = tfvars.as_data(recorded.machine("k8s-dev", "x", resource(initialization=settings)))
    assert found["ipconfig0"] == {"ip": "dhcp", "gw": None, "ip6": None, "gw6": None}
    assert "address" not in found


@pytest.mark.parametrize(
    "changed", [{"initialization": []}, {"cpu": None}, {"disk": []}, {"network_device": []}]
)
def test_a_state_that_has_too_little(changed):
    assert recorded.machine("k8s-dev", "x", resource(**changed)) is None
