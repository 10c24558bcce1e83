"""Terraform in clusters/: its environment, and workspaces of a real backend."""

import json
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

import apply_workspace
from fleet.findings import Fault
from fleet.releases import left
from fleet.releases.root import Root, settings
from lab import terraform

CLEAN = {"HELM_DRIVER": "secret"} | dict.fromkeys(
    ("TF_VAR_vault_addr", "TF_VAR_vault_ca", "TF_VAR_vault_namespace", "TF_VAR_chart_mirror"), ""
)
ENVIRONMENTS = {
    "nothing": ({"PATH": "/bin"}, {}, CLEAN),
    "Vault's address": ({"VAULT_ADDR": "https://v"}, {}, CLEAN | {"TF_VAR_vault_addr": "https://v"}),
    "Vault's CA and namespace": (
        {"VAULT_CACERT": "/dev/null", "VAULT_NAMESPACE": "n"}, {}, CLEAN | {"TF_VAR_vault_namespace": "n"}
    ),
    "another for the clusters": (
        {"VAULT_ADDR": "https://v", "TF_VAR_vault_addr": "https://w"}, {}, CLEAN | {"TF_VAR_vault_addr": "https://w"}
    ),
    "a mirror": ({"CHART_MIRROR": "oci://m"}, {}, CLEAN | {"TF_VAR_chart_mirror": "oci://m"}),
    "the way to the cluster": ({"KUBE_CTX": "x"}, {"KUBE_CTX": "k8s-dev"}, CLEAN | {"KUBE_CTX": "k8s-dev"}),
    "options that get past the guard": (
        {"TF_CLI_ARGS_plan": "-refresh=false", "TF_CLI_ARGS": "-target=x", "TF_WORKSPACE": "x"}, {},
        CLEAN | {"TF_CLI_ARGS_plan": "", "TF_CLI_ARGS": "", "TF_WORKSPACE": ""},
    ),
    "releases kept elsewhere": ({"HELM_DRIVER": "configmap"}, {}, CLEAN),
}  # fmt: skip


@pytest.mark.parametrize("environment, access, expected", ENVIRONMENTS.values(), ids=ENVIRONMENTS)
def test_environment(environment, access, expected):
    assert settings(environment, access) == expected


@pytest.mark.parametrize("name", ["TF_VAR_workload", "TF_VAR_config", "TF_VAR_charts"])
def test_maps_of_the_environment_are_refused(name):
    with pytest.raises(Fault, match=f"{name}: the maps are read from"):
        settings({name: ""}, {})


def test_maps_of_a_file_beside_are_refused(tmp_path, capsys):
    """As of a person who tried something; variables.tf is not looked at."""
    (tmp_path / "my.auto.tfvars").write_text("charts = {}\n")
    assert apply_workspace.main(["observability", "--dir", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert (
        "my.auto.tfvars:1" in said
        and "sets charts, which variables.tf has" in said
        and "nothing was planned" in said
    )


@pytest.fixture
def directory(tmp_path, monkeypatch):
    monkeypatch.setenv("TERRAFORM", terraform.program())
    monkeypatch.setenv("TF_CLI_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("TF_WORKSPACE", "elsewhere")
    monkeypatch.setenv("TF_CLI_ARGS_apply", "-target=terraform_data.none")
    folder = tmp_path / "clusters"
    folder.mkdir()
    (folder / "main.tf").write_text('resource "terraform_data" "a" {\n  for_each = toset(["x"])\n}\n')
    return folder


def applied(directory: Path, data: Path, workspace: str) -> Root:
    root = Root(directory, data)
    root.init()
    root.select(workspace)
    root.run("apply", "-auto-approve", capture=True)
    return root


def test_workspaces_side_by_side_in_one_checkout(directory, tmp_path):
    names = ["a", "b"]
    with ProcessPoolExecutor() as pool:
        roots = list(pool.map(applied, [directory] * 2, [tmp_path / name for name in names], names))
    assert roots[0].workspaces() == names
    assert [root.state() for root in roots] == [{'terraform_data.a["x"]': ""}] * 2
    assert not (directory / ".terraform").exists()
    roots[0].run("destroy", "-auto-approve", capture=True)
    assert left.left_maps("a", roots[0].state()) is None
    assert 'terraform_data.a["x"]' in left.left_maps("b", roots[1].state()).message
    saved = directory / "terraform.tfstate.d/b/terraform.tfstate"
    assert len(json.loads(saved.read_text())["resources"]) == 1
