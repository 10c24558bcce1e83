"""Text has the encoding that the code names, whatever locale a person or a runner has."""

import ast
import json
import os
import subprocess
import sys

import pytest

from fleet.paths import ROOT
from tests.helpers.machines import KEY, text

SOURCES = sorted([*(ROOT / "scripts").rglob("*.py"), *(ROOT / "proxmox").rglob("*.py")])
# The place of `encoding` among the positional arguments of a method.
PLACES = {"read_text": 0, "write_text": 1}


def is_unnamed(call: ast.Call) -> bool:
    """Whether a call reads or writes text in the encoding of the locale."""
    keywords = {keyword.arg: keyword.value for keyword in call.keywords}
    if "encoding" in keywords:
        return False
    if isinstance(call.func, ast.Attribute) and call.func.attr in PLACES:
        return len(call.args) <= PLACES[call.func.attr]
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name in ("open", "fdopen") and ast.unparse(call.func) != "os.open":
        modes = [*call.args, *keywords.values()]
        texts = [
            mode.value for mode in modes if isinstance(mode, ast.Constant) and isinstance(mode.value, str)
        ]
        return any(set(mode) <= set("rwxa+t") for mode in texts)
    return any(isinstance(value, ast.Constant) and value.value for key, value in keywords.items()
               if key in ("text", "universal_newlines"))  # fmt: skip


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_an_encoding_is_named(path):
    calls = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)]
    assert [ast.unparse(call) for call in calls if is_unnamed(call)] == []


# As LC_ALL=pt_PT.ISO-8859-1 does it to Python, without that locale: less than UTF-8, and no way around.
POOR = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def run(tmp_path, script: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("GITHUB", "LANG"))
    }
    command = [sys.executable, ROOT / "scripts" / script, *arguments]
    done = subprocess.run(command, cwd=tmp_path, env=environment | POOR, capture_output=True, check=False)
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return done


@pytest.fixture
def fleet(tmp_path):
    (tmp_path / "vms").mkdir()
    (tmp_path / "vms" / "a.yaml").write_text(text("a", description="Máquina € 1"), "utf-8")
    (tmp_path / "authorized_keys").write_text(f"# Joana é\n{KEY} José\n", "utf-8")
    return tmp_path


def test_validate(fleet):
    assert run(fleet, "validate_vms.py", "--vms-dir", "vms").returncode == 0
    (fleet / "vms" / "a.yaml").write_text(text("a", pool="Máquina € 1"), "utf-8")
    done = run(fleet, "validate_vms.py", "--vms-dir", "vms")
    assert (done.returncode, rb"pool: M\xe1quina \u20ac 1 must be a pool's name" in done.stderr) == (
        1,
        True,
    ), done


def test_terraforms_input(fleet):
    (fleet / "state.json").write_text(json.dumps({"version": 4, "é": "€"}, ensure_ascii=False), "utf-8")
    places = ["--vms-dir", "vms", "--authorized-keys", "authorized_keys", "--output", "out.json"]
    done = run(fleet, "generate_tfvars.py", "--offline", "--state", "state.json", *places)
    assert done.returncode == 0, done
    written = json.loads((fleet / "out.json").read_text("utf-8"))["vms"]["a"]
    assert written["description"].startswith("Máquina € 1") and written["sshkeys"][0].endswith("José")


def test_inventory(fleet):
    """ansible-inventory, which checks the new text, would not start in such a locale."""
    inventory = "# Casa € 1\n[all:vars]\nplace=é\n[k3s]\n"
    (fleet / "k8s.ini").write_text(inventory, "utf-8")
    (fleet / "new_hosts.txt").write_text("")
    machine = {"address": "192.168.1.20", "user": "ops", "mac": "", "instance": "", "vmid": 500, "node": "é"}
    outputs = {"ansible_inventory": {"value": {"k8s-dev": machine | {"mounts": {}}}}}
    (fleet / "outputs.json").write_text(json.dumps(outputs, ensure_ascii=False), "utf-8")
    places = ["--inventory", "k8s.ini", "--queue", "new_hosts.txt", "--outputs", "outputs.json"]
    done = run(fleet, "update_inventory.py", *places)
    assert done.returncode == 0, done
    changed = (fleet / "k8s.ini").read_text("utf-8")
    assert (
        "# Casa € 1\n" in changed and "place=é" in changed and "k8s-dev ansible_host=192.168.1.20" in changed
    )
