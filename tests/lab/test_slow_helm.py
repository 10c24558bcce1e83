"""The stand-in for Terraform's helm provider on a real cluster: the outcomes of the real one, with its faults.

`make clusters-check MIRROR=…` runs the same table with the real provider.
"""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from lab import builds, terraform
from tests.helpers.workload_cluster import WorkloadCluster, cluster

MAIN = """
terraform {
  required_providers {
    helm = {
      source  = "hashicorp/helm"
      version = "= 3.1.2"
    }
  }
}

variable "settings" {
  type    = any
  default = {}
}

variable "more" {
  type    = list(object({ name = string, value = string, type = optional(string) }))
  default = null
}

variable "secret" {
  type    = string
  default = null
}

variable "raised" {
  type    = number
  default = null
}

variable "atomic" {
  type    = bool
  default = true
}

variable "again" {
  type    = bool
  default = true
}

provider "helm" {}

resource "helm_release" "this" {
  name             = "web"
  namespace        = "%s"
  create_namespace = true
  chart            = "%s"
  version          = "1.0.0" # without it, a plan with upgrade_install asks the cluster
  atomic           = var.atomic
  upgrade_install  = var.again
  timeout          = try(var.settings.broken, false) ? 8 : 60 # the good ones wait for a busy computer
  values           = [yamlencode(var.settings)]
  set              = var.more
  set_wo           = var.secret == null ? null : [{ name = "secret", value = var.secret }]
  set_wo_revision  = var.raised
}
"""
CHART = "apiVersion: v2\nname: web\nversion: 1.0.0\nappVersion: '9'\n"
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: {{ .Values.replicas | default 1 }}
  selector: {matchLabels: {app: web}}
  template:
    metadata:
      labels: {app: web {{- if .Values.broken }}, lab/never-ready: "true" {{- end }}}
    spec: {containers: [{name: web, image: web}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: web}
data: {color: {{ .Values.color | default "" | quote }}, secret: {{ .Values.secret | default "" | quote }}}
"""


class Root(NamedTuple):
    folder: Path
    namespace: str
    cluster: WorkloadCluster
    mirror: Path

    def run(self, *args: str, **variables: object) -> subprocess.CompletedProcess:
        program = os.environ.get("TERRAFORM") or str(builds.entry("opentofu") / "tofu")
        (self.folder / "x.auto.tfvars.json").write_text(json.dumps(variables))
        return subprocess.run(
            [program, *args, "-no-color"], cwd=self.folder, capture_output=True, text=True, timeout=120,
            env={**os.environ, **self.cluster.environment(), "TF_CLI_CONFIG_FILE": str(self.mirror)},
        )  # fmt: skip

    def apply(self, **variables: object) -> subprocess.CompletedProcess:
        return self.run("apply", "-auto-approve", **variables)

    def applied(self, **variables: object) -> None:
        done = self.apply(**variables)
        assert done.returncode == 0, done.stdout + done.stderr

    def planned(self, **variables: object) -> tuple[int, str]:
        done = self.run("plan", "-detailed-exitcode", **variables)
        return done.returncode, done.stdout + done.stderr

    def state(self) -> list[str]:
        return self.run("state", "list").stdout.split()

    def releases(self, *args: str) -> list[tuple[str, str]]:
        found = json.loads(self.cluster.helm("list", "-a", "-n", self.namespace, "-o", "json", *args))
        return [(one["name"], one["status"]) for one in found]

    def data(self) -> dict[str, str]:
        return json.loads(self.cluster.kubectl("get", "cm", "web", "-n", self.namespace, "-o", "json"))[
            "data"
        ]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Iterator[WorkloadCluster]:
    with cluster(tmp_path_factory.mktemp("cluster")) as one:
        yield one


@pytest.fixture
def root(made: WorkloadCluster, tmp_path: Path, request) -> Root:
    given = Path(os.environ.get("MIRROR") or builds.entry("helm")).resolve()
    configuration = terraform.offer(tmp_path, given)
    (tmp_path / "chart/templates").mkdir(parents=True)
    (tmp_path / "chart/Chart.yaml").write_text(CHART)
    (tmp_path / "chart/templates/all.yaml").write_text(DEPLOYMENT)
    namespace = request.node.name.removeprefix("test_").replace("_", "-")[:50]
    folder = tmp_path / "root"
    folder.mkdir()
    (folder / "main.tf").write_text(MAIN % (namespace, tmp_path / "chart"))
    one = Root(folder, namespace, made, configuration)
    done = one.run("init")
    assert done.returncode == 0, done.stdout + done.stderr
    return one


def test_life_of_a_release(root: Root):
    assert root.planned(settings={"color": "red"})[0] == 2
    root.applied(settings={"color": "red"}, more=[{"name": "replicas", "value": "2"}])
    assert root.releases() == [("web", "deployed")]
    assert root.planned(settings={"color": "red"}, more=[{"name": "replicas", "value": "2"}])[0] == 0
    root.applied(settings={"color": "blue"})
    assert root.data()["color"] == "blue"
    metadata = json.loads(root.run("show", "-json").stdout)["values"]["root_module"]["resources"][0]["values"]
    assert (metadata["status"], metadata["metadata"]["revision"], metadata["version"]) == (
        "deployed",
        2,
        "1.0.0",
    )
    assert json.loads(metadata["metadata"]["values"]) == {"color": "blue"}
    assert root.run("destroy", "-auto-approve").returncode == 0
    assert root.releases() == []


def test_a_release_that_cannot_be_read_counts_as_gone(root: Root):
    root.applied()
    with root.cluster.away():
        code, said = root.planned()
        assert code == 2 and "1 to add" in said and "Error" not in said
        done = root.run("destroy", "-auto-approve")
        assert done.returncode == 0 and "0 destroyed" in done.stdout
    assert root.state() == []
    assert root.releases() == [("web", "deployed")]
    done = root.apply(again=False)
    assert done.returncode == 1 and "cannot re-use a name that is still in use" in done.stderr
    root.applied()  # upgrade_install takes it over
    assert root.state() == ["helm_release.this"]


def test_write_only_values_are_lost_by_an_update(root: Root):
    root.applied(secret="s3cret", raised=1)
    assert root.data()["secret"] == "s3cret"
    root.applied(secret="s3cret", raised=1, settings={"color": "red"})
    assert root.data() == {"color": "red", "secret": ""}
    assert root.planned(secret="s3cret", raised=1, settings={"color": "red"})[0] == 0
    root.applied(secret="s3cret", raised=2, settings={"color": "red"})
    assert root.data()["secret"] == "s3cret"


def test_a_failed_install(root: Root):
    done = root.apply(settings={"broken": True})
    assert done.returncode == 1 and root.releases() == [] and root.state() == []
    done = root.apply(settings={"broken": True}, atomic=False)
    assert done.returncode == 1 and root.releases() == [("web", "failed")] and root.state() == []
    # Not {}: without any values helm takes those of the release before, the broken ones.
    root.applied(settings={"color": "red"})
    assert root.releases() == [("web", "deployed")]


def test_a_failed_upgrade_is_rolled_back(root: Root):
    root.applied(settings={"color": "red"})
    assert root.apply(settings={"color": "blue", "broken": True}).returncode == 1
    assert root.data()["color"] == "red" and root.releases() == [("web", "deployed")]
    assert root.planned(settings={"color": "blue", "broken": True})[0] == 2


def test_a_killed_run_leaves_a_pending_install(root: Root):
    argv = [str(builds.entry("opentofu") / "tofu"), "apply", "-auto-approve", "-no-color"]
    (root.folder / "x.auto.tfvars.json").write_text(json.dumps({"settings": {"broken": True}}))
    run = subprocess.Popen(
        argv, cwd=root.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        env={**os.environ, **root.cluster.environment(), "TF_CLI_CONFIG_FILE": str(root.mirror)},
    )  # fmt: skip
    end = time.monotonic() + 60
    while root.releases() != [("web", "pending-install")]:
        assert time.monotonic() < end
    os.killpg(run.pid, 9)
    run.wait()
    done = root.apply(settings={})
    assert (
        done.returncode == 1 and "another operation (install/upgrade/rollback) is in progress" in done.stderr
    )
    root.cluster.helm("uninstall", "web", "-n", root.namespace)
    root.applied(settings={})


def test_removed_by_hand_is_made_again(root: Root):
    root.applied()
    root.cluster.helm("uninstall", "web", "-n", root.namespace)
    code, said = root.planned()
    assert code == 2 and "1 to add" in said


def test_changed_by_hand_is_not_seen(root: Root):
    root.applied()
    chart = root.folder.parent / "chart"
    root.cluster.helm("upgrade", "web", str(chart), "-n", root.namespace, "--set", "color=green")
    assert root.planned()[0] == 0
