"""What a person gives to `make` is one word of a command, and never a command."""

import subprocess

import pytest

from fleet.paths import ROOT


@pytest.mark.parametrize(
    ("target", "given"),
    [
        ("vm-ip", 'NAME=x"; touch {0}; "'),
        ("vm-ip", "NAME=x' `touch {0}`"),
        ("vm-ip", "WAIT=1; touch {0}"),
        ("inventory", "OUTPUTS=x y; touch {0}"),
        ("images-update", "IMAGE=x; touch {0}"),
        ("new-playbook", 'NAME=x"; touch {0}; "'),
        ("clusters-plan", 'WS=x"; touch {0}; "'),
        ("clusters-apply", "WS=x `touch {0}`"),
        ("new-workload", 'NAME=x"; touch {0}; "'),
        ("upgrade", 'TO=x"; touch {0}; "'),
        ("upgrade", "UPSTREAM=x' `touch {0}`"),
    ],
)
def test_nothing_of_a_value_is_run(tmp_path, monkeypatch, target, given):
    for name in ("PROXMOX_VE_ENDPOINT", "NAME", "WAIT", "OUTPUTS", "IMAGE", "WS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PROXMOX_GITOPS_ENV", str(tmp_path / "none"))
    trace = tmp_path / "trace"
    command = ["make", "-s", "-o", ".venv", target, given.format(trace)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8")
    assert done.returncode == 2 and not trace.exists(), done.stderr
