"""The HA manager's part of a machine, said in its file: with the real provider."""

import pytest

from lab.proxmox import access, accounts, faults, ha
from tests.helpers.fleet import Fleet, clean, config, pve


@pytest.fixture
def fleet(proxmox, tmp_path):
    if "HA" not in access.read()["roles"]:
        accounts.add_role("HA", "Sys.Console")
    accounts.grant("/", ["HA"], "terraform@pve", None, propagate=True, remove=False)
    yield Fleet(tmp_path / "fleet")
    for service in ha.read():
        ha.remove(service)
    clean()


def applied(fleet: Fleet) -> str:
    if fleet.git("status", "--porcelain", "proxmox/vms"):
        fleet.commit()
    status, output = fleet.apply()
    assert status == 0, output
    assert "No changes." in fleet.plan()[1]
    return output


def test_a_machine_is_given_to_ha_changed_kept_and_taken_back(fleet):
    fleet.write("k8s-dev", 20, ha={"state": "started"})
    applied(fleet)
    assert ha.read()["vm:500"]["state"] == "started"
    fleet.write("k8s-dev", 20, ha={"state": "started", "max_restart": 3})
    fleet.commit()
    status, output = fleet.apply()
    assert (status, ha.read()["vm:500"]["max_restart"]) == (0, 3), output
    assert "update  k8s-dev: ha" in output
    fleet.write("k8s-dev", 20)
    assert "k8s-dev: not in its file, and so left as it is in Proxmox: ha" in applied(fleet)
    assert ha.read()["vm:500"]["max_restart"] == 3
    fleet.write("k8s-dev", 20, ha="none")
    applied(fleet)
    assert ha.read() == {}
    fleet.write("k8s-dev", 20)
    applied(fleet)


def test_a_machine_that_a_person_gave_to_ha(fleet):
    fleet.write("k8s-dev", 20)
    applied(fleet)
    ha.add("vm:500", {"max_relocate": 2})
    applied(fleet)
    assert ha.read()["vm:500"]["max_relocate"] == 2, "nobody's file speaks of it"
    fleet.write("k8s-dev", 20, ha="none")
    fleet.commit()
    status, output = fleet.apply()
    assert (status, "vm:500" in ha.read()) == (1, True)
    assert "somebody gave k8s-dev (vm:500) to HA in Proxmox; take it out there" in output
    fleet.write("k8s-dev", 20, ha={"state": "started", "max_relocate": 2})
    applied(fleet)
    assert ha.read()["vm:500"]["max_relocate"] == 2
    fleet.write("k8s-dev", 20, ha="none")
    applied(fleet)
    assert ha.read() == {}


def test_a_machine_in_ha_is_destroyed(fleet):
    fleet.write("k8s-dev", 20, ha={"state": "started"})
    fleet.write("k8s-test", 21)
    applied(fleet)
    fleet.remove("k8s-dev")
    fleet.commit("bye\n\n[destroy k8s-dev]")
    status, output = fleet.apply("--approve-destroy", "k8s-dev")
    assert (status, ha.read()) == (0, {}), output
    assert pve("get", "/nodes/node01/qemu/501/status/current")["status"] == "running"


def test_a_group_that_this_version_has_no_more(fleet):
    fleet.write("k8s-dev", 20, ha={"group": "site-a"})
    fleet.commit()
    status, output = fleet.apply()
    assert status == 1
    assert "ha.group: site-a cannot be used: this Proxmox has HA rules instead of groups" in output
    assert config(500) is None


def test_a_group_where_proxmox_has_groups(fleet):
    with faults.injected({"release": 8}):
        pve("create", "/cluster/ha/groups", group="near", nodes="node01")
        fleet.write("k8s-dev", 20, ha={"group": "near"})
        applied(fleet)
        assert ha.read()["vm:500"]["group"] == "near"
    ha.change("groups", "near", None)


def test_without_the_right_the_run_says_what_is_missing(fleet):
    accounts.grant("/", ["HA"], "terraform@pve", None, propagate=True, remove=True)
    fleet.write("k8s-dev", 20, ha={"state": "started"})
    fleet.commit()
    status, output = fleet.apply()
    assert (status != 0, ha.read()) == (True, {})
    assert "Permission check failed (/, Sys.Console)" in output


def test_a_renamed_machine_stays_with_ha(fleet):
    fleet.write("k8s-dev", 20, ha={"state": "started", "max_restart": 3})
    applied(fleet)
    before = ha.read()
    fleet.remove("k8s-dev")
    fleet.write("k8s-new", 20, ha={"state": "started", "max_restart": 3}, formerly="k8s-dev")
    output = applied(fleet)
    assert "0 to add, 1 to change, 0 to destroy" in output
    assert (ha.read(), config(500)["name"]) == (before, "k8s-new")
