"""The drift report on the lab's Proxmox, the real Terraform's state and a real database: clean, then each tamper."""

import json

import pytest

import drift
import status_page
from fleet.drift import sources
from lab import network
from lab.environment import environment
from tests.helpers.fleet import Fleet, clean, pve


@pytest.fixture(scope="module")
def home(proxmox, tmp_path_factory):
    """Two machines, applied and in the inventory; no play ever ran, as the machines are empty processes."""
    fleet = Fleet(tmp_path_factory.mktemp("drift") / "fleet")
    fleet.write("k8s-a", 20)
    fleet.write("k8s-b", 21)
    fleet.commit()
    status, output = fleet.apply()
    assert status == 0, output
    lines = [
        f"k8s-{n} ansible_host=192.168.1.{at} # terraform mac=x instance=y"
        for n, at in (("a", 20), ("b", 21))
    ]
    (fleet.proxmox / "k8s.ini").write_text("\n".join(lines) + "\n")
    (fleet.proxmox / "new_hosts.txt").write_text("192.168.1.20,k8s-a\n192.168.1.21,k8s-b\n")
    yield fleet
    clean()


@pytest.fixture
def look(home, monkeypatch, tmp_path, capsys):
    """The exit code, the rows by machine, kind and what, and what is unknown."""
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sources, "PROXMOX_DIR", home.proxmox)
    monkeypatch.setattr(sources, "VMS_DIR", home.proxmox / "vms")
    monkeypatch.setattr(sources, "SECONDS", 0.2)

    def run() -> tuple[int, dict, list[str]]:
        file, ini, queue = tmp_path / "drift.json", home.proxmox / "k8s.ini", home.proxmox / "new_hosts.txt"
        with network.inside():
            code = drift.main(["--inventory", str(ini), "--queue", str(queue), "--json", str(file)])
        told = json.loads(file.read_text())
        # Nothing listens in these machines.
        rows = [row for row in told["rows"] if row["kind"] != "silent"]
        return code, {(row["machine"], row["kind"], row["what"]): row for row in rows}, told["unknown"]

    return run


def test_nothing_but_the_silence_of_empty_machines(look):
    assert look() == (1, {}, [])


def test_each_change_by_hand_is_a_row(look, home):
    pve("set", "/nodes/node01/qemu/500/config", memory=2048, tags="mine;terraform")
    pve("create", "/nodes/node01/qemu/501/status/stop")
    code, rows, unknown = look()
    assert (code, unknown) == (1, [])
    memory = rows["k8s-a", "changed", "memory"]
    assert (memory["was"], memory["is"]) == ("1024", "2048")
    assert rows["k8s-b", "changed", "power"]["is"] == "stopped"
    assert ("k8s-a", "changed", "tags") in rows
    assert look()[1] == rows  # it repairs nothing


def test_a_lost_machine_a_strangers_and_stale_lines(look, home):
    pve("create", "/nodes/node01/qemu/500/status/stop")
    pve("delete", "/nodes/node01/qemu/500?purge=1")
    pve("create", "/nodes/node01/qemu", vmid=700, name="k8s-b")
    ini = home.proxmox / "k8s.ini"
    gone = "k8s-gone ansible_host=192.168.1.9 # terraform mac=x instance=y\n"
    ini.write_text(ini.read_text().replace("192.168.1.21", "192.168.1.99") + gone)
    code, rows, _ = look()
    assert code == 1
    assert {("k8s-a", "missing", "machine"), ("k8s-b", "foreign", "machine"), ("k8s-b", "stale", "inventory"),
            ("k8s-gone", "orphaned", "inventory")} <= rows.keys()  # fmt: skip


def test_a_token_that_may_only_look_is_enough(look, monkeypatch):
    before = look()
    made = pve("create", "/access/users/root@pam/token/look", privsep=1)
    pve("set", "/access/acl?path=%2F&roles=PVEAuditor&tokens=root%40pam%21look")
    monkeypatch.setenv("PROXMOX_READ_API_TOKEN", f"root@pam!look={made['value']}")
    monkeypatch.setenv("PROXMOX_VE_API_TOKEN", "nobody@pve!none=00000000-0000-0000-0000-000000000000")
    assert look() == before


def test_the_page_tells_the_same(look, home, tmp_path):
    _, rows, _ = look()
    lists = ["--inventory", str(home.proxmox / "k8s.ini"), "--queue", str(home.proxmox / "new_hosts.txt")]
    with network.inside():
        assert status_page.main([*lists, "--output", str(tmp_path / "status")]) == 0
    told = json.loads((tmp_path / "status/status.json").read_text())
    assert {machine for machine, _, _ in rows} <= {one["name"] for one in told["machines"] if one["needs"]}
    node = next(one for one in told["room"] if one["name"] == "node01")
    assert 0 < node["used"] <= node["total"] and told["unknown"] == []
    assert any(one["kind"] == "storage" and one["total"] for one in told["room"])
    assert [one["name"] for one in told["templates"]] == ["ubuntu24-template"]
    assert (tmp_path / "status/index.html").read_text().count("k8s-gone") > 1


def test_what_cannot_be_looked_at_is_never_clean(look, monkeypatch):
    monkeypatch.setenv("PROXMOX_VE_ENDPOINT", "https://192.168.1.1:1/")
    code, _, unknown = look()
    assert code == 2 and any(one.startswith("Proxmox:") for one in unknown)


def test_no_drift_is_told_while_an_apply_holds_the_lock(look):
    import psycopg

    from fleet.terraform import lock

    with network.inside(), psycopg.connect(environment()["PG_CONN_STR"], autocommit=True) as session:
        session.execute("SELECT pg_advisory_lock(%s)", [lock.KEY])
        code, rows, unknown = look()
    assert (code, rows, unknown) == (2, {}, [sources.APPLY])
