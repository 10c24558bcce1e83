"""What every release of clusters/ holds to, read from the files: a module that forgets a rule is named."""

import json
import re
from pathlib import Path

import pytest

from fleet.paths import CLUSTERS_DIR

MODULES = sorted(path.parent for path in CLUSTERS_DIR.glob("modules/*/main.tf"))
FILES = sorted(CLUSTERS_DIR.rglob("*.tf"))
# terraform fmt begins and ends a block at the line's start.
BLOCK = re.compile(r'^resource "(\w+)" "(\w+)" \{\n(.*?)^\}', re.M | re.S)
RESOURCES = {
    f"{module.name}.{name}": (kind, body)
    for module in MODULES
    for kind, name, body in BLOCK.findall((module / "main.tf").read_text())
}
CHARTS = sorted(CLUSTERS_DIR.glob("modules/*/chart"))
# Without these, what a failed or killed run leaves stops the next one, and helm's history grows for ever.
ALWAYS = {
    "atomic": "true", "upgrade_install": "true", "wait": "true", "max_history": "10", "create_namespace": "true",
}  # fmt: skip
# Not kept on an update, or in the state in plain text; one that reuses values keeps what the files no longer say.
NEVER = {
    "set_wo",
    "set_sensitive",
    "set",
    "set_list",
    "reuse_values",
    "repository_password",
    "replace",
    "force_update",
}


def settings(body: str) -> dict[str, str]:
    return dict(re.findall(r"^  (\w+) *= (.*)$", body, re.M))


@pytest.mark.parametrize("address", RESOURCES)
def test_a_release_can_fail_and_be_killed(address):
    kind, body = RESOURCES[address]
    assert kind == "helm_release", "only the helm provider is used"
    said = settings(body)
    assert {key: said.get(key) for key in ALWAYS} == ALWAYS
    assert 60 <= int(said["timeout"]) <= 1800
    assert said["version"]
    assert not NEVER & said.keys()
    # Without any, helm's upgrade goes on with those that somebody gave by hand.
    assert said["values"].startswith("[yamlencode({")
    assert not re.findall(r"^  (set\w*|provisioner) +\{", body, re.M)


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_a_module_tells_all_its_releases(module):
    told = set(re.findall(r"helm_release\.(\w+)", (module / "outputs.tf").read_text()))
    assert told == {name.split(".")[1] for name in RESOURCES if name.split(".")[0] == module.name}
    assert "helm_release.this" in (module / "outputs.tf").read_text()


def test_the_definitions_stay_when_a_release_goes():
    values = {name: body for name, (_, body) in RESOURCES.items()}
    assert "crds = { enabled = var.install_crd, keep = true }" in values["cert_manager.this"]
    assert 'annotations = { "helm.sh/resource-policy" = "keep" }' in values["external_secrets.this"]
    assert re.search(r"crds += \{ install = var.install_crd, keep = true \}", values["argocd.this"])
    assert "crds = { create = false }" in values["observability.alloy"]


@pytest.mark.parametrize("chart", CHARTS, ids=lambda path: path.parent.name)
def test_a_chart_beside_a_module_is_hashed_into_its_values(chart):
    text = (chart.parent / "main.tf").read_text()
    assert "filesHash = sha1(jsonencode(local.files))" in text
    assert 'fileset(local.resources, "**")' in text
    assert "Chart.yaml" in {path.name for path in chart.iterdir()}


def test_names_are_unique_and_no_release_is_in_two_modules():
    names = [settings(body)["name"] for _, body in RESOURCES.values()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(CLUSTERS_DIR).as_posix())
def test_no_secret_can_come_in(path):
    text = path.read_text()
    assert "sensitive" not in text
    assert not re.search(r'^(data|ephemeral|provider) "(?!helm")', text, re.M)
    assert not re.search(r"kubernetes\s*=\s*\{|config_path|host\s*=", text)


def test_every_folder_is_used_and_every_variable_and_output_is_described():
    text = (CLUSTERS_DIR / "modules.tf").read_text()
    assert set(re.findall(r'source = "./modules/(\w+)"', text)) == {path.name for path in MODULES}
    for path in FILES:
        for kind, name, body in re.findall(
            r'^(variable|output) "(\w+)" \{\n(.*?)^\}', path.read_text(), re.M | re.S
        ):
            assert re.search(r"^  description *= \S", body, re.M), f"{path}: {kind} {name}"
            assert kind == "output" or re.search(r"^  type +=|^  type=", body, re.M), (
                f"{path}: {name} has no type"
            )


def test_renovate_finds_each_chart():
    """Each version has the comment above it that the custom manager of Renovate looks for."""
    config = (CLUSTERS_DIR.parent / ".github/renovate.json5").read_text()
    pattern = json.loads(re.search(r"matchStrings: \[\n +(\".*\"),\n", config)[1])
    pattern = re.sub(r"\(\?<(\w+)>", r"(?P<\1>", pattern)  # as Python spells a group's name
    text = (CLUSTERS_DIR / "variables.tf").read_text()
    default = re.search(r'^variable "charts" \{\n.*?^  default = \{\n(.*?)^  \}', text, re.M | re.S)[1]
    versions = re.findall(r'^      version = "(.*)"$', default, re.M)
    found = [match.groupdict() for match in re.finditer(pattern, text)]
    assert [match["currentValue"] for match in found] == versions
    # The lab's charts follow in the same pull request, since they are found by the same names.
    for match in found:
        path = next(CLUSTERS_DIR.parent.glob(f"lab/charts/sources/{Path(match['depName']).name}/Chart.yaml"))
        assert [one.groupdict() for one in re.finditer(pattern, path.read_text())] == [match]
    charts = re.findall(r'repository = "(.*)"\n +chart += "(.*)"', default)
    for (repository, chart), match in zip(charts, found, strict=True):
        if match["datasource"] == "helm":
            assert (match["registryUrl"], match["depName"]) == (repository, chart)
        else:
            assert f"oci://{match['depName']}" == f"{repository}/{chart}"
