"""Asking everything at once: what hangs, breaks or is missing costs its own line, and no secret gets out."""

import threading
import time

import pytest

from fleet.doctor.line import COMPUTER, PROXMOX, VAULT, Check, Line, counts, red, skipped, warning, worst
from fleet.doctor.run import each, run
from fleet.findings import Fault


def well() -> Line:
    return Line("well", "all of it")


def raising(error: BaseException):
    def ask() -> Line:
        raise error

    return ask


BROKEN = {
    "fault": (Fault("Proxmox is down"), "red", "Proxmox is down"),
    "package": (
        ModuleNotFoundError("no", name="rich"), "skipped", "not asked: the Python package rich is missing",
    ),
    "mistake-of-ours": (KeyError("data"), "red", "KeyError: 'data'"),
}  # fmt: skip


@pytest.mark.parametrize(("error", "state", "found"), BROKEN.values(), ids=BROKEN)
def test_what_breaks_costs_its_own_line(error, state, found):
    lines = run([Check(PROXMOX, "a", raising(error)), Check(PROXMOX, "b", well)])
    assert [(line.state, line.found) for line in lines] == [(state, found), ("ok", "all of it")]
    assert bool(lines[0].mend) == (state == "red")


def test_what_was_found_before_a_line_broke_is_kept():
    def some():
        yield well()
        raise Fault("the second is too much")

    lines = run([Check(PROXMOX, "rights", some)])
    assert [(line.name, line.state) for line in lines] == [("well", "ok"), ("rights", "red")]


def test_what_needs_a_red_line_is_not_asked_and_names_the_first_reason():
    asked = []
    checks = [
        Check(VAULT, "address", lambda: red("address", "down", "up", "start it")),
        Check(VAULT, "token", lambda: asked.append(1), needs=("address",)),
        Check(VAULT, "rights", lambda: asked.append(2), needs=("token",)),
        Check(COMPUTER, "address", well),
        Check(COMPUTER, "clock", well, after=("Vault/address",)),
    ]
    lines = run(checks)
    assert [line.found for line in lines[1:3]] == ["not asked: see address"] * 2
    assert [line.state for line in lines[3:]] == ["ok", "ok"]
    assert asked == []


def test_what_a_warning_is_needed_for_is_asked():
    checks = [Check(VAULT, "a", lambda: warning("a", "x", "y", "z")), Check(VAULT, "b", well, needs=("a",))]
    assert [line.state for line in run(checks)] == ["warning", "ok"]


def test_what_hangs_is_red_and_nobody_waits_for_it():
    stop = threading.Event()
    checks = [
        Check(PROXMOX, "hangs", lambda: stop.wait(60) and well()),
        Check(PROXMOX, "waits", well, needs=("hangs",)),
        Check(PROXMOX, "well", well),
    ]
    began = time.monotonic()
    lines = run(checks, patience=0.3)
    assert time.monotonic() - began < 2
    assert [(line.state, line.found) for line in lines] == [
        ("red", "no answer within 0 s"),
        ("skipped", "not asked: hangs gave no answer"),
        ("ok", "all of it"),
    ]
    assert "pveproxy" in lines[0].mend
    stop.set()


def test_no_secret_gets_into_a_line(monkeypatch):
    monkeypatch.setenv("PROXMOX_VE_API_TOKEN", "me@pve!x=1111-2222")
    monkeypatch.setenv("PG_CONN_STR", "postgres://me:ge%20heim@db/x")
    monkeypatch.setenv("SSH_PRIVATE_KEY", "-----BEGIN\nabcdefghij\n-----END")
    text = "me@pve!x=1111-2222, 1111-2222; ge%20heim and ge heim; abcdefghij"
    line = run([Check(PROXMOX, "a", lambda: red("a", text, text, text))])[0]
    assert line.found == line.wanted == line.mend == "…, …; … and …; …"


def test_each_answers_in_order_and_raises_the_first_error():
    assert each(lambda number: number * 2, range(30)) == [number * 2 for number in range(30)]
    assert each(str, []) == []
    with pytest.raises(Fault, match="seven"):
        each(lambda number: raising(Fault("seven"))() if number == 7 else number, range(30))


def test_the_exit_code_and_the_counts():
    lines = [red("a", "", "", ""), warning("b", "", "", ""), Line("c", ""), Line("d", ""), skipped("e", "")]
    assert (worst(lines), worst(lines[1:])) == (1, 0)
    assert counts(lines) == "1 red, 1 warning, 2 well, 1 skipped"
