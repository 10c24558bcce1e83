"""High availability as a VM file says it, with the real provider: given, changed, taken away, and without the right."""

import contextlib

import pytest

from lab.proxmox import accounts, faults, ha
from lab.proxmox.errors import ApiError
from tests.helpers.fleet import Fleet, clean, pve, running


@pytest.fixture
def fleet(proxmox, tmp_path):
    yield Fleet(tmp_path / "fleet")
    clean()
    for kind in ("resources", "groups"):
        for name in ha.read(kind):
            ha.change(kind, name, None)


@pytest.fixture
def may_console(proxmox):
    """The lab's token has Sys.Console, which HA asks for."""
    with contextlib.suppress(ApiError):  # of an earlier test
        accounts.add_role("Console", "Sys.Console")
    accounts.grant("/", ["Console"], "terraform@pve", None, propagate=True, remove=False)
    yield
    accounts.grant("/", ["Console"], "terraform@pve", None, propagate=True, remove=True)


def applied(fleet, **fields) -> str:
    fleet.write("k8s-dev", 20, vmid=500, **fields)
    fleet.commit()
    status, output = fleet.apply()
    assert status == 0, output
    assert "No changes." in fleet.plan()[1]
    return output


def test_ha_is_given_changed_and_taken_away(fleet, may_console):
    applied(fleet, ha={"state": "started", "max_restart": 2})
    fleet.known("k8s-dev")
    assert {key: ha.read()["vm:500"][key] for key in ("state", "max_restart")} == {
        "state": "started",
        "max_restart": 2,
    }
    before = running(500)
    applied(fleet, ha={"state": "started", "max_restart": 3, "max_relocate": 2})
    assert {key: ha.read()["vm:500"][key] for key in ("max_restart", "max_relocate")} == {
        "max_restart": 3, "max_relocate": 2,
    }  # fmt: skip
    applied(fleet, ha="none")
    assert ha.read() == {}
    assert running(500) == before


def test_a_group_where_proxmox_has_groups(fleet, may_console):
    with faults.injected({"release": 8}):
        pve("create", "/cluster/ha/groups", group="near", nodes="node01")
        applied(fleet, ha={"group": "near"})
        assert ha.read()["vm:500"]["group"] == "near"


def test_a_group_where_proxmox_has_rules(fleet, may_console):
    fleet.write("k8s-dev", 20, vmid=500, ha={"group": "near"})
    fleet.commit()
    status, output = fleet.apply()
    assert (status, running(500), ha.read()) == (1, None, {}), output
    assert "has HA rules instead of groups" in output


def test_without_the_right_the_machine_is_made_and_the_run_says_what_is_missing(fleet):
    fleet.write("k8s-dev", 20, vmid=500, ha={"state": "started"})
    fleet.commit()
    status, output = fleet.apply()
    assert status != 0
    assert "Permission check failed (/, Sys.Console)" in output
    assert ha.read() == {}
