"""How talosctl is found and run; a small program stands in its place and tells what it was given."""

from pathlib import Path

import pytest

from fleet.findings import Fault
from fleet.talos import talosctl
from fleet.talos.cluster import Node, version
from fleet.talos.talosctl import Text

NODE = Node("talos-prod-cp01", "10.0.0.11", True)
WANTED = version("v1.12.0", "x")


@pytest.fixture
def program(tmp_path: Path, monkeypatch) -> Path:
    path = tmp_path / "talosctl"
    monkeypatch.setenv("TALOSCTL", str(path))
    return path


def write(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def says(tag: str) -> str:
    return f"printf 'Client:\\n\\tTag:         {tag}\\n\\tSHA:         undefined\\n'"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (says("v1.12.1"), "is v1.12.1, and talos_version is v1.12.0"),
        (says("v1.11.9"), "is v1.11.9, and talos_version is v1.12.0"),
        ("echo nothing", "tells no version"),
        ("exit 3", "talosctl version: exit code 3"),
    ],
)
def test_another_program_is_refused_with_the_way_out(program: Path, body: str, said: str):
    write(program, body)
    with pytest.raises(Fault) as caught:
        talosctl.find(WANTED)
    assert said in str(caught.value)
    assert ("releases/tag/v1.12.0" in str(caught.value)) is (body != "exit 3")


def test_no_program(program: Path, monkeypatch, tmp_path: Path):
    with pytest.raises(Fault, match=r"TALOSCTL is .*, which is not a program; install talosctl-linux-amd64"):
        talosctl.find(WANTED)
    monkeypatch.delenv("TALOSCTL")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Fault, match="talosctl is not in PATH; install"):
        talosctl.find(WANTED)


def test_a_secret_is_in_no_argument_and_no_variable_and_on_no_disk(
    program: Path, monkeypatch, tmp_path: Path
):
    monkeypatch.setenv("VAULT_TOKEN", "hvs.hunter2")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    write(
        program,
        'tr "\\0" " " < /proc/self/cmdline; env; echo "--"; for one in "$@"; do case "$one" in'
        ' @/*) cat "${one#@}";; /proc/*) cat "$one";; esac; done',
    )
    asked = talosctl.Talosctl(str(program)).ask("key: hunter3\n", NODE, "x", Text("patch: hunter2\n", "@"))
    told, _, files = asked.out.partition("--\n")
    assert asked.code == 0
    assert files == "patch: hunter2\nkey: hunter3\n"
    assert "hunter" not in told
    assert list((tmp_path / "tmp").iterdir()) == []


def test_what_does_not_end_is_ended(program: Path):
    write(program, "exec sleep 30")
    asked = talosctl.Talosctl(str(program)).ask("", NODE, "version", timeout=0.2)
    assert (asked.code, asked.problem) == (124, "no answer within 0 s")
    write(program, "exec yes")
    assert talosctl.Talosctl(str(program)).ask("", NODE, "version").code == 125


def test_handles_are_closed(program: Path):
    write(program, "true")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        talosctl.Talosctl(str(program)).ask("a", NODE, "version", Text("b"))
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_problem_is_one_line_that_no_terminal_obeys():
    answer = talosctl.Answer(1, "", "waiting\nerror: \x1b[2Jbad\n")
    assert answer.problem == "waiting error: \\x1b[2Jbad"
