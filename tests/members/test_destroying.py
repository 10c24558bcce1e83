"""What an apply does about members of clusters that nobody can ask: who is kept, and whom nothing stops."""

from types import SimpleNamespace

import pytest

from fleet.findings import Fault
from fleet.members import departures, destroying
from fleet.steps import unfinished
from fleet.talos.leave import find

P = "k8s-prod-"
PLANES = {f"{P}cp0{number}": f"10.0.0.{number}" for number in (1, 2, 3)}


@pytest.fixture(autouse=True)
def no_vault(monkeypatch, tmp_path):
    monkeypatch.delenv("VAULT_ADDR", raising=False)
    monkeypatch.delenv("VAULT_TOKEN", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.parametrize(
    ("approved", "have", "files", "kept"),
    [
        ([f"{P}w01"], [*PLANES, f"{P}w01"], PLANES, [f"{P}w01"]),
        ([f"{P}cp02"], PLANES, [f"{P}cp01", f"{P}cp03"], [f"{P}cp02"]),
        ([f"{P}cp02"], PLANES, PLANES, []),  # its file is there: it is made again, if at all
        ([f"{P}cp02"], [f"{P}cp01"], [f"{P}cp01"], []),  # it is gone
        ([], PLANES, [], []),  # kept without this: nobody approved it
        (["k8s-dev", "web"], ["k8s-dev", "web", *PLANES], PLANES, []),
        (PLANES, [*PLANES, f"{P}w01"], [f"{P}w01"], []),  # the cluster ends
        ([*PLANES, f"{P}w01"], [*PLANES, f"{P}w01"], [], []),
        (["talos-prod-w1"], ["talos-prod-w1", "talos-prod-cp1"], ["talos-prod-cp1"], ["talos-prod-w1"]),
        (["talos-prod-w1", "talos-prod-cp1"], ["talos-prod-w1", "talos-prod-cp1"], [], []),
    ],
)
def test_a_member_is_kept_while_its_cluster_cannot_be_asked(approved, have, files, kept):
    there = {name: address for name, address in PLANES.items() if name in have}
    reasons = destroying.cannot_leave(approved, have, files, {}, find)
    assert list(reasons) == kept
    if kept:
        cluster = kept[0].rpartition("-")[0]
        assert (
            f"it cannot leave {cluster}: the address of Vault is missing: set VAULT_ADDR" in reasons[kept[0]]
        )
        with pytest.raises(destroying.Stays) as stays:
            destroying.let_leave(
                kept, [], files, {k: v for k, v in there.items() if k in files}, find, dry_run=False
            )
        assert list(stays.value.reasons) == kept


def test_a_machine_is_not_recreated_while_it_cannot_leave(capsys):
    with pytest.raises(Fault, match="only after it has left its cluster; nothing was applied"):
        destroying.let_leave([], [f"{P}cp02"], PLANES, PLANES, find, dry_run=False)
    assert f"refused: would destroy and recreate {P}cp02: it cannot leave k8s-prod" in capsys.readouterr().err


def test_a_plan_says_who_would_leave(capsys):
    destroying.let_leave([f"{P}w01"], [], PLANES, PLANES, find, dry_run=True)
    assert f"{P}w01 would be kept: it cannot leave k8s-prod" in capsys.readouterr().out
    destroying.let_leave([*PLANES], [], [f"{P}w01"], {}, find, dry_run=True)
    assert "k8s-prod ends with all of its control planes" in capsys.readouterr().out
    destroying.let_leave(["web"], ["k8s-dev"], ["k8s-dev"], {}, find, dry_run=True)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("going", "replaced", "refused"),
    [
        ([], PLANES, PLANES),
        ([f"{P}cp03"], [f"{P}cp01", f"{P}cp02"], [f"{P}cp01", f"{P}cp02"]),
        ([*PLANES, "web"], [], []),  # it ends, and that was asked for
        ([], [f"{P}cp01"], []),  # a cluster of one, as a single machine
    ],
)
def test_a_cluster_is_not_recreated_whole(going, replaced, refused, monkeypatch, capsys):
    monkeypatch.setattr(departures.Fleet, "ask", lambda *_: True)  # Vault knows it
    there = {*going, *replaced}
    fleet = departures.Fleet(frozenset(going), frozenset(replaced), frozenset(there.difference(going)), {})
    reasons = departures.refused(fleet, find)
    assert sorted(reasons) == sorted(refused)
    assert all("with it go all control planes of k8s-prod" in one for one in reasons.values())
    if refused:
        with pytest.raises(Fault, match="nothing was applied"):
            destroying.let_leave(going, replaced, replaced, {}, find, dry_run=False)
        assert "ends with all" not in capsys.readouterr().err
    monkeypatch.setattr(departures.Fleet, "ask", lambda *_: None)  # nothing was ever in it
    assert departures.refused(fleet, find) == {}


def test_nobody_leaves_for_an_apply_that_is_refused(monkeypatch):
    monkeypatch.setattr(departures, "refused", lambda *_: {f"{P}cp02": "not now"})
    monkeypatch.setattr(departures, "depart", lambda *_: pytest.fail("somebody left"))
    with pytest.raises(Fault, match="nothing was applied"):
        destroying.let_leave([f"{P}w01"], [f"{P}cp02"], PLANES, PLANES, find, dry_run=False)


def test_a_member_that_joined_again_is_forgotten_when_its_machine_is_gone(monkeypatch):
    asked = []

    def forget(name: str, _: object) -> bool:
        asked.append(name)
        if name.endswith("cp02"):
            raise Fault("no quorum")
        return True

    monkeypatch.setattr(departures.Fleet, "ask", lambda *_: SimpleNamespace(forget=forget))
    found = destroying.forget([f"{P}w01", f"{P}cp02", "web", "k8s-other-cp01"], [f"{P}cp01"], PLANES, find)
    assert asked == [f"{P}w01", f"{P}cp02"]  # k8s-other has ended
    assert [one.message for one in found] == [
        f"{P}cp02 is gone, and k8s-prod may still have it: run leave_cluster.py {P}cp02 (no quorum)"
    ]


@pytest.mark.parametrize(
    ("before", "wanted", "state", "gone"),
    [
        (
            [*PLANES, "web"],
            [f"{P}cp01"],
            [f"{P}cp01", f"{P}cp02"],
            [f"{P}cp03"],
        ),  # one could not be destroyed
        ([*PLANES, "web"], PLANES, PLANES, None),
        (["web"], [], [], None),
    ],
)
def test_who_is_forgotten(before, wanted, state, gone, monkeypatch, tmp_path):
    hosts = tmp_path / "k8s.ini"
    hosts.write_text("".join(f"{name} ansible_host=192.0.2.1 # terraform\n" for name in before[1:]))
    asked = []
    monkeypatch.setattr(unfinished, "current", lambda _: dict.fromkeys(state))
    monkeypatch.setattr(unfinished, "forget", lambda names, *_: asked.append(sorted(names)) or [])
    job = SimpleNamespace(addresses={})
    assert unfinished.forgotten(job, before[:1], {"vms": dict.fromkeys(wanted)}, hosts) == []
    assert asked == ([gone] if gone else [])
