"""clusters/ as the lab's Terraform understands it, with helm's provider in its place but no cluster."""

import json
import os
import re
import shutil
import subprocess

import pytest

from fleet.paths import CLUSTERS_DIR
from fleet.workloads.new import make
from lab import terraform

OWN = """
mock_provider "helm" {}

variables {
  workload = { observability = ["my-app"] }
  config   = { observability = { kubernetes_context = "k8s-observability" } }
}

run "it_has_its_release" {
  assert {
    condition     = output.releases[0].name == "my-app" && output.releases[0].namespace == "my-app"
    error_message = jsonencode(output.releases)
  }
}
"""


@pytest.fixture(scope="module")
def clusters(tmp_path_factory, helm_mirror):
    """A copy with a workload of a person's own."""
    folder = tmp_path_factory.mktemp("site") / "clusters"
    shutil.copytree(CLUSTERS_DIR, folder, ignore=shutil.ignore_patterns(".terraform*"))
    make("my-app", folder)
    (folder / "tests/own.tftest.hcl").write_text(OWN)
    (folder.parent / "terraform.tfrc").write_text(
        "disable_checkpoint = true\n"
        f'provider_installation {{\n  filesystem_mirror {{\n    path = "{helm_mirror}"\n  }}\n}}\n'
    )
    done = run(folder, "init", "-backend=false")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def run(folder, *arguments, **settings) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("TF_", "KUBE"))}
    environment |= {"TF_CLI_CONFIG_FILE": str(folder.parent / "terraform.tfrc"), "TF_INPUT": "0", **settings}
    command = [terraform.program(), *arguments, "-no-color"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_it_is_valid_in_whichever_workspace(clusters):
    done = run(clusters, "validate")
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_was_written_is_formatted(clusters):
    done = run(clusters, "fmt", "-check", "-recursive")
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_case_of_its_own_tests(clusters):
    done = run(clusters, "test", TF_WORKSPACE="observability")
    assert done.returncode == 0, done.stdout + done.stderr
    cases = "".join(path.read_text() for path in clusters.glob("tests/*.tftest.hcl"))
    assert f"{len(re.findall(r'^run ', cases, re.M))} passed, 0 failed" in done.stdout


def test_a_module_that_nobody_uses_is_named(clusters):
    (clusters / "modules/lost").mkdir()
    (clusters / "modules/lost/main.tf").write_text("")
    (clusters / "backend_override.tf").write_text('terraform {\n  backend "local" {}\n}\n')
    maps = ("workload", ["lost"], ["lots"]), ("config", *[{"kubernetes_context": "k8s-dev"}] * 2)
    blocks = [
        f'variable "{name}" {{\n  default = {json.dumps({"one": one, "two": two})}\n}}\n'
        for name, one, two in maps
    ]
    (clusters / "maps_override.tf").write_text("".join(blocks))
    try:
        done = run(clusters, "init")
        assert done.returncode == 0, done.stdout + done.stderr
        for workspace, said in (
            ("one", "modules/ has lost, but modules.tf does not use it"),
            ("two", "two asks for lots, which is not a folder in modules/"),
            ("three", "no workspace three; it has one, two"),
        ):
            done = run(clusters, "plan", TF_WORKSPACE=workspace)
            assert done.returncode == 1 and said in " ".join(done.stderr.split()), done.stderr
        done = run(clusters, "destroy", "-auto-approve", TF_WORKSPACE="three")
        assert done.returncode == 0, "what left the maps can still be emptied: " + done.stderr
    finally:
        for name in ("backend_override.tf", "maps_override.tf"):
            (clusters / name).unlink()
        shutil.rmtree(clusters / "modules/lost")
