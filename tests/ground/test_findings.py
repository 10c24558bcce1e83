"""Findings as text, as GitHub's annotations and as JSON; a Fault ends a script without a traceback."""

import io
import json
import os
import subprocess
import sys

import pytest

from fleet.findings import Fault, Finding, guarded, report
from fleet.paths import ROOT

PLACED = Finding("cores is 0", "vms/a.yaml", 3, 8)


@pytest.mark.parametrize(
    ("finding", "text", "annotation"),
    [
        (PLACED, "vms/a.yaml:3:8: cores is 0", "::error file=vms/a.yaml,line=3,col=8::cores is 0"),
        (Finding("no line", "a.yaml"), "a.yaml: no line", "::error file=a.yaml::no line"),
        (Finding("away", level="warning"), "warning: away", "::warning::away"),
        (
            Finding("two\nlines ::error::x", "a,b:c%.yaml", 1, level="notice"),
            "a,b:c%.yaml:1: notice: two\nlines ::error::x",
            "::notice file=a%2Cb%3Ac%25.yaml,line=1::two%0Alines ::error::x",
        ),
        (
            Finding("\x1b[2J\tgone\x9b\u202e", "a\x1b]0;x\x07\udcff.yaml"),  # a terminal would obey
            "a\\x1b]0;x\\x07\\udcff.yaml: \\x1b[2J\tgone\\x9b\\u202e",
            "::error file=a\\x1b]0;x\\x07\\udcff.yaml::\\x1b[2J\tgone\\x9b\\u202e",
        ),
    ],
)
def test_a_finding_is_told(finding, text, annotation):
    assert (finding.text(), finding.annotation()) == (text, annotation)


def test_a_report_puts_errors_first_and_says_whether_there_are_any():
    stream = io.StringIO()
    assert report([Finding("b", level="warning"), Finding("a")], "text", stream) == 1
    assert stream.getvalue().splitlines() == ["a", "warning: b"]
    assert report([Finding("b", level="warning")], "text", stream) == 0


def test_a_report_for_a_program():
    stream = io.StringIO()
    report([PLACED], "json", stream)
    assert json.loads(stream.getvalue()) == [PLACED._asdict()]


def test_on_a_runner_findings_become_annotations(monkeypatch, capsys):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    report([PLACED])
    assert capsys.readouterr().err == PLACED.annotation() + "\n"


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (Fault("Vault is sealed", code=2), 2, "Vault is sealed\n"),
        (Fault("twice", "k8s.ini", 4), 1, "k8s.ini:4: twice\n"),
        (PermissionError(13, "Permission denied", "k8s.ini"), 2, "k8s.ini: Permission denied\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_a_fault_ends_a_script_without_a_traceback(error, code, told, capsys, monkeypatch):
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)

    @guarded
    def main():
        raise error

    assert main() == code
    assert capsys.readouterr().err == told


def test_a_fault_of_the_program_itself_keeps_its_traceback():
    @guarded
    def main():
        raise OSError("no file is named")

    with pytest.raises(OSError, match="no file is named"):
        main()


NOISY = """
from fleet.findings import guarded
@guarded
def main():
    for number in range(99_999):
        print(number)
main()
"""


def test_whoever_reads_the_output_may_stop_reading(tmp_path):
    (tmp_path / "noisy.py").write_text(NOISY)
    command = f'"{sys.executable}" "{tmp_path}/noisy.py" | head -1'
    env = {**os.environ, "PYTHONPATH": str(ROOT / "scripts")}
    run = subprocess.run(command, shell=True, env=env, capture_output=True, text=True, check=True)
    assert (run.stdout, run.stderr) == ("0\n", "")
