"""validate_clusters.py: the files of tests/cases/clusters, each a variables.tf beside the modules of root/.

What is found in a case stands in its lines, as `# ! text`: the beginning or a part of the message.
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import validate_clusters
from fleet.workspaces import check, maps

ROOT = Path(__file__).resolve().parents[2]
CASES = Path(__file__).parents[1] / "cases" / "clusters"
MACHINES = ("k8s-dev", "k8s-home", "k8s-prod-cp1", "k8s-prod-w1", "talos-lab-cp1", "haproxy-prod", "web-1")


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    shutil.copytree(CASES / "root", tmp_path / "clusters")
    shutil.copy(CASES / "valid.tf", tmp_path / "clusters/variables.tf")
    (tmp_path / "vms").mkdir()
    for name in MACHINES:
        (tmp_path / f"vms/{name}.yaml").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*more: str) -> int:
    return validate_clusters.main(["--clusters-dir", "clusters", "--vms-dir", "vms", *more])


@pytest.mark.parametrize("case", sorted(CASES.glob("*.tf")), ids=lambda path: path.stem)
def test_cases(case, checkout, capsys):
    shutil.copy(case, "clusters/variables.tf")
    lines = enumerate(case.read_text().splitlines(), 1)
    wanted = [(number, text) for number, line in lines for text in re.findall(r"# ! (.*)$", line)]
    assert run("--format", "json") == bool(wanted)
    found = json.loads(capsys.readouterr().out)
    assert [(each["path"], each["line"]) for each in found] == [
        ("clusters/variables.tf", line) for line, _ in wanted
    ]
    for (_, text), each in zip(wanted, found, strict=True):
        assert text in each["message"]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (
            "override.tf",
            'variable "config" {\n  default = {}\n}\n',
            ":1: sets config, which variables.tf has",
        ),
        ("x_override.tf", '\nvariable "workload" {}\n', ":2: sets workload"),
        ("more.tf", 'variable "charts" {}\n', ":1: sets charts"),
        ("variables.tofu", 'variable "charts" {}\n', ":1: sets charts"),
        ("x.tf.json", '{"variable": {"config": {}}}', ": sets config"),
        ("x.tf.json", '{"variable": [{"config": {}}]}', ": sets config"),
        ("terraform.tfvars", "workload = {}\nconfig = {}\n", ":1: sets workload and config"),
        ("a.auto.tfvars", "\ncharts = {}\n", ":2: sets charts"),
        ("a.auto.tfvars.json", '{"workload": {}}', ": sets workload"),
        ("a.auto.tfvars.json", "{", ": cannot be read"),
        ("more.tf", 'variable "charts" {', ":1: cannot be read"),
        ("backend_override.tf", 'terraform {\n  backend "local" {}\n}\n', ""),
        ("mine.tfvars", "workload = {}\n", ""),  # Terraform loads it only when told to
        ("terraform.tfvars", 'chart_mirror = "oci://x"\n', ""),
    ],
)
def test_other_files_that_set_a_map(name, text, said, checkout, capsys):
    Path("clusters", name).write_text(text)
    assert run("--format", "text") == bool(said)
    assert f"clusters/{name}{said}" in capsys.readouterr().err if said else True


def test_what_is_printed(checkout, capsys):
    assert run() == 0
    assert capsys.readouterr().out == "4 workspaces: valid\n"
    shutil.copy(CASES / "twice.tf", "clusters/variables.tf")
    assert run("--format", "github") == 1
    assert capsys.readouterr().err.startswith("::error file=clusters/variables.tf,line=5::dev is there twice")
    Path("clusters/variables.tf").unlink()
    assert run() == 1
    assert "clusters/variables.tf: is missing" in capsys.readouterr().err
    shutil.rmtree("clusters")
    assert run() == 0
    assert capsys.readouterr().out == "clusters is not there: nothing to check\n"


def test_the_project_is_valid():
    done = subprocess.run(
        [sys.executable, ROOT / "scripts/validate_clusters.py"], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not (ROOT / "clusters").is_dir(), reason="clusters/ comes with another change")
def test_the_names_are_spelt_as_in_terraform():
    text = (ROOT / "clusters/locals.tf").read_text()
    spelt = dict(re.findall(r"(\w+) = \"(\w+)\"", re.search(r"spellings = {(.*)}", text)[1]))
    assert spelt == maps.SPELLINGS
    called = check.modules(check.sources(ROOT / "clusters"))
    folders = {path.parent.name for path in (ROOT / "clusters/modules").glob("*/main.tf")}
    assert called.keys() == folders
    assert all(module.charts for module in called.values())
