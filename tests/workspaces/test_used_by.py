"""Which workspaces run on machines that are to be destroyed."""

import pytest

from fleet.workspaces import used_by

MAPS = """variable "workload" {
  type    = map(list(string))
  default = { obs = ["observability"], git = ["argocd"], big = ["istio"] }
}
variable "config" {
  type = map(object({ kubernetes_context = string }))
  default = {
    obs = { kubernetes_context = "k8s-dev" }
    git = { kubernetes_context = "k8s-dev" }
    big = { kubernetes_context = "k8s-prod" }
  }
}
variable "charts" {
  type    = map(object({ repository = string, chart = string, version = string }))
  default = {}
}
"""
CASES = [
    (["k8s-dev"], [], ["k8s-dev is to be destroyed, and git, obs of "]),
    (["k8s-test", "haproxy-dev"], ["k8s-dev"], []),
    (["k8s-prod-cp01"], ["k8s-prod-cp02", "k8s-prod-w01"], []),  # the cluster goes on
    (["k8s-prod-cp01", "k8s-prod-w01"], [], ["k8s-prod-cp01 is to be destroyed, and big of "]),
    ([], [], []),
]


@pytest.mark.parametrize("going, staying, said", CASES)
def test_warnings(tmp_path, going, staying, said):
    (tmp_path / "variables.tf").write_text(MAPS)
    found = used_by.warnings(going, staying, tmp_path)
    assert [one.level for one in found] == ["warning"] * len(said)
    assert [text in one.message for one, text in zip(found, said, strict=True)] == [True] * len(said)


def test_maps_that_cannot_be_read_stop_no_machine(tmp_path):
    assert used_by.warnings(["k8s-dev"], [], tmp_path) == []
    (tmp_path / "variables.tf").write_text("variable {")
    assert [one.level for one in used_by.warnings(["k8s-dev"], [], tmp_path)] == ["warning"]


@pytest.mark.parametrize(
    ("renamed", "said"),
    [
        ({"k8s-new": "k8s-dev"}, ["k8s-dev is renamed, and so is its context, but git, obs of "]),
        ({"k8s-new": "k8s-test", "web": "db"}, []),
        ({}, []),
    ],
)
def test_a_workspace_that_still_has_the_earlier_name(tmp_path, renamed, said):
    assert used_by.left_behind(renamed, tmp_path) == []
    (tmp_path / "variables.tf").write_text(MAPS)
    found = used_by.left_behind(renamed, tmp_path)
    assert [one.level for one in found] == ["warning"] * len(said)
    assert [text in one.message for one, text in zip(found, said, strict=True)] == [True] * len(said)
