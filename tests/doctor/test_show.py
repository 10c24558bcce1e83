"""What a person reads: every width, without colour where NO_COLOR says so, and plain lines where nobody looks."""

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from fleet.doctor import show
from fleet.doctor.line import PROXMOX, STATE, Line, red, skipped, warning
from fleet.paths import ROOT

COMMAND = "`pvesh set /cluster/options -next-id lower=500,upper=9000`"
LINES = [
    line._replace(group=PROXMOX)
    for line in (
        Line("endpoint", "https://pve:8006", "an answer"),
        warning("VMID range", "lower=100,upper=1000000", "lower=500,upper=9000", COMMAND),
        red("node node02", "offline\x1b[2J", "online", "start it"),
        *(skipped(name, "not asked: see token") for name in ("version", "nodes", "rights")),
        skipped("snippets", "PROXMOX_SNIPPETS is none"),
    )
] + [skipped("backend", "not asked: see token")._replace(group=STATE)]


def test_plain_lines_are_whole():
    text = show.plain(LINES)
    assert "  ok       endpoint     https://pve:8006\n" in text
    assert (
        f"  warning  VMID range   lower=100,upper=1000000\n{'':24}wanted: lower=500,upper=9000\n{'':24}mend: {COMMAND}"
        in text
    )
    assert "  skipped  3 more       not asked: see token: version, nodes, rights\n" in text
    assert "  skipped  backend      not asked: see token" in text
    assert "\x1b" not in text and "offline\\x1b[2J" in text


def on_terminal(columns: int, **more: str) -> str:
    """What the script shows on a terminal, with nothing configured but an endpoint that is not there."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    env = {name: os.environ[name] for name in ("PATH", "HOME", "PROXMOX_GITOPS_ENV") if name in os.environ}
    env |= {
        "TERM": "xterm-256color",
        "LC_ALL": "C.UTF-8",
        "PROXMOX_VE_ENDPOINT": "https://127.0.0.1:1/",
    } | more
    command = [sys.executable, ROOT / "scripts/doctor.py"]
    with subprocess.Popen(command, env=env, stdout=slave, stderr=slave, stdin=slave) as process:
        os.close(slave)
        shown = b""
        while True:
            try:
                shown += os.read(master, 1 << 16)
            except OSError:  # the terminal's other end is closed
                break
        os.close(master)
        assert process.wait() == 1
    return shown.decode()


@pytest.mark.parametrize("columns", [50, 80, 140])
def test_a_table_fits_the_terminal(columns):
    text = on_terminal(columns)
    assert re.search(r"\d of \d+ questions answered", text)
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text.rpartition("questions answered")[2]).splitlines()
    assert max(map(len, lines)) <= columns
    assert any(re.match(r"  ✗ +endpoint ", line) for line in lines)
    assert any("→ check PROXMOX_VE_ENDPOINT" in line for line in lines)


def test_no_color_means_none():
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", on_terminal(80, NO_COLOR="1"))
    assert re.search(r"\x1b\[[0-9;]*3[0-9]m", on_terminal(80))


def test_a_terminal_without_utf8_gets_plain_lines():
    assert "  red      endpoint" in on_terminal(80, LC_ALL="C", PYTHONUTF8="0", PYTHONIOENCODING="latin-1")


def test_nothing_but_the_lines_where_nobody_looks():
    env = {**os.environ, "PROXMOX_VE_ENDPOINT": "https://127.0.0.1:1/"}
    done = subprocess.run(
        [sys.executable, ROOT / "scripts/doctor.py"], env=env, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert "\x1b" not in done.stdout
    assert re.search(r"^1 red, .* skipped \(\d+\.\d s\)$", done.stdout, re.M)


def test_make_prints_lines_for_programs():
    env = {**os.environ, "PROXMOX_VE_ENDPOINT": "https://127.0.0.1:1/"}
    command = ["make", "--no-print-directory", "doctor", "JSON=1"]
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True)
    lines = json.loads(done.stdout)
    assert set(lines[0]) == {"group", "name", "state", "found", "wanted", "mend"}
    assert [line["name"] for line in lines if line["state"] == "red"] == ["endpoint"]


def test_wrong_usage():
    done = subprocess.run(
        [sys.executable, ROOT / "scripts/doctor.py", "--jsn"], capture_output=True, text=True, cwd=Path.home()
    )
    assert done.returncode == 2
