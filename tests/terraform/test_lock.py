"""One apply at a time: the folder's lock, and what is said when there is no database."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from fleet.findings import Fault
from fleet.terraform import lock

SCRIPTS = Path(__file__).parents[2] / "scripts"
HOLD = """
import sys, time
from pathlib import Path
from fleet.terraform import lock
with lock.held(Path(sys.argv[1]), 1):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


@pytest.fixture(autouse=True)
def no_database(monkeypatch):
    monkeypatch.delenv("PG_CONN_STR", raising=False)


def hold(folder: Path, seconds: float) -> subprocess.Popen:
    command = [sys.executable, "-c", HOLD, str(folder), str(seconds)]
    process = subprocess.Popen(command, cwd=SCRIPTS, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    return process


def test_the_second_waits_for_the_first(tmp_path, capsys):
    with hold(tmp_path, 1):
        since = time.monotonic()
        with lock.held(tmp_path, 20):
            assert time.monotonic() - since > 0.5
        assert f"the lock is held by another run in {tmp_path}; waiting" in capsys.readouterr().err
    with lock.held(tmp_path, 0):
        assert capsys.readouterr().err == ""


def test_it_gives_up_and_a_killed_holder_holds_nothing(tmp_path):
    told = f"held by another run in {tmp_path}, longer than 0 s"
    with hold(tmp_path, 60) as process:
        with pytest.raises(Fault, match=told), lock.held(tmp_path, 0):
            pass
        process.kill()
    with lock.held(tmp_path, 0):
        pass


def test_no_database(tmp_path, monkeypatch):
    monkeypatch.setenv("PG_CONN_STR", "postgres://u:hidden-word@127.0.0.1:9/d")
    told = "no connection with the database that PG_CONN_STR names"
    with pytest.raises(Fault, match=told) as caught, lock.held(tmp_path, 0):
        pass
    assert "hidden-word" not in str(caught.value)
    assert "refused" in str(caught.value), "the reason, and not the last of libpq's questions"
    assert caught.value.code == 2


@pytest.mark.parametrize("word", ["hid%tden", "hid@den", "hid/den"])
def test_a_password_that_breaks_the_connection_string_is_not_quoted(tmp_path, monkeypatch, word):
    monkeypatch.setenv("PG_CONN_STR", f"postgres://u:{word}@127.0.0.1:9/d")
    with pytest.raises(Fault, match="write % as %25") as caught, lock.held(tmp_path, 0):
        pass
    assert not [part for part in ("hid", "den") if part in str(caught.value)]
