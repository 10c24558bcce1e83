"""Each kind of drift from what the places say: a table of one change to a clean fleet, and the rows that it makes."""

import socket

import pytest

from fleet.ansible.queue import Entry
from fleet.drift import overview, rows, sources
from fleet.findings import Fault
from fleet.proxmox.guest import guest
from fleet.terraform.state import Resource
from fleet.vms.machine import TAG

ATTRIBUTES = {
    "tags": [TAG],
    "started": True,
    "cpu": [{"cores": 2, "sockets": 1}],
    "memory": [{"dedicated": 2048}],
    "on_boot": True,
    "protection": False,
    "password": "hunter2",
}
CONFIG = {"cores": 2, "memory": "2048", "onboot": 1, "cipassword": "hunter3"}


def seen(**changes):
    entry = {"vmid": 100, "name": "web1", "node": "pve1", "status": "running", "tags": TAG}
    return guest(entry | changes)


def fleet(**changes):
    clean = {
        "files": {"web1": "proxmox/vms/web1.yaml"},
        "state": {"web1": Resource(100, "pve1", False, "address", (), ATTRIBUTES)},
        "addresses": {"web1": "10.0.0.1"},
        "guests": (seen(),),
        "configs": {100: CONFIG},
        "inventory": {"web1": "10.0.0.1"},
        "queue": (Entry("10.0.0.1", "web1"),),
        "answers": {"web1": True},
    }
    return sources.Sources(**(clean | changes))


CASES = {
    "clean": ({}, set()),
    "memory": (
        {"configs": {100: CONFIG | {"memory": 4096}}},
        {("web1", "changed", "memory", "2048", "4096")},
    ),
    "onboot": ({"configs": {100: CONFIG | {"onboot": 0}}}, {("web1", "changed", "onboot", "true", "false")}),
    "stopped": ({"guests": (seen(status="stopped"),)}, {("web1", "changed", "power", "running", "stopped")}),
    "moved": ({"guests": (seen(node="pve2"),)}, {("web1", "changed", "node", "pve1", "pve2")}),
    "moved by HA": ({"guests": (seen(node="pve2", hastate="started"),)}, set()),
    "renamed": ({"guests": (seen(name="db"),)}, {("web1", "changed", "name", "web1", "db")}),
    "tags": ({"guests": (seen(tags=""),)}, {("web1", "changed", "tags", TAG, "none")}),
    "gone": ({"guests": ()}, {("web1", "missing", "machine", "VMID 100", "not in Proxmox")}),
    "not made": (
        {"files": {"web1": "a", "web2": "b"}},
        {("web2", "missing", "state", "b", "not in the state")},
    ),
    "file gone": ({"files": {}}, {("web1", "orphaned", "VM file", "in the state", "no VM file")}),
    "our name": (
        {"guests": (seen(), seen(vmid=200, tags=""))},
        {("web1", "foreign", "machine", "not in the state", "VMID 200 on pve1")},
    ),
    "our mark": (
        {"guests": (seen(), seen(vmid=200, name="x"))},
        {("x", "foreign", "machine", "not in the state", "VMID 200 on pve1")},
    ),
    "somebody else's": ({"guests": (seen(), seen(vmid=200, name="x", tags=""))}, set()),
    "a template of ours": ({"guests": (seen(), seen(vmid=200, name="x", template=1))}, set()),
    "stale line": (
        {"inventory": {"web1": "10.0.0.9"}},
        {("web1", "stale", "inventory", "10.0.0.1", "10.0.0.9")},
    ),
    "orphaned line": (
        {"inventory": {"old": "10.0.0.9", "web1": "10.0.0.1"}},
        {("old", "orphaned", "inventory", "not in the state", "10.0.0.9")},
    ),
    "stale queue": (
        {"queue": (Entry("10.0.0.9", "web1"),)},
        {("web1", "stale", "queue", "10.0.0.1", "10.0.0.9")},
    ),
    "silent": (
        {"answers": {"web1": False}},
        {("web1", "silent", "network", "10.0.0.1", "runs, does not answer")},
    ),
}


@pytest.mark.parametrize(("changes", "wanted"), CASES.values(), ids=CASES)
def test_rows(changes, wanted):
    drift = rows.find(fleet(**changes))
    assert {row[:5] for row in drift.rows} == wanted
    assert all(row.command for row in drift.rows)
    assert drift.code == int(bool(wanted))
    assert "hunter" not in str(drift)


def test_nothing_is_drift_while_an_apply_runs():
    drift = rows.find(fleet(guests=(), unknown=(sources.APPLY,)))
    assert not drift.rows and drift.code == 2


def test_a_machine_that_proxmox_works_on_is_unknown():
    drift = rows.find(fleet(guests=(seen(lock="clone", status="stopped"),)))
    assert not drift.rows and "web1" in drift.unknown[0] and drift.code == 2


@pytest.mark.parametrize("place", ["files", "state", "guests", "inventory", "queue"])
def test_a_place_that_is_out_of_reach_is_never_clean_nor_empty(place):
    has = fleet(**{place: None}, unknown=(f"{place}: away",))
    drift = rows.find(has)
    assert not drift.rows and drift.code == 2
    assert "?" in overview.lines(has)[0]


def test_overview():
    assert overview.lines(fleet()) == [("web1", "yes", "yes", "running", "yes", "yes", "yes")]


def test_who_answers():
    """A port that is open on this computer, and one that is not, by the function that asks machines."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert sources.answers_at("127.0.0.1", port)
    assert not sources.answers_at("127.0.0.1", port)


def test_a_file_that_cannot_be_read_makes_no_machine_orphaned(tmp_path, monkeypatch):
    (tmp_path / "web1.yaml").write_text("name: [")
    monkeypatch.setattr(sources, "VMS_DIR", tmp_path)
    with pytest.raises(Fault, match="web1"):
        sources._files()
    (tmp_path / "web1.yaml").write_text("name: web1\n")
    assert list(sources._files()) == ["web1"]
