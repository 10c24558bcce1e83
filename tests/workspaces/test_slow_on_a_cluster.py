"""All workloads of clusters/ on a real cluster: installed, unchanged by a second run, changed, removed.

Helm and its waiting are real, and so are Terraform, the API server, controllers and scheduler. The charts
are the lab's, or the packed ones in the folder CHARTS, as `make clusters-check` has it.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from fleet.contexts.handover import handed_over
from fleet.paths import CLUSTERS_DIR
from fleet.workloads.new import make
from lab import terraform
from lab.charts import repository
from tests.helpers import workload_cluster

ALL = ["externaldns", "cert-manager", "external_secrets", "observability", "argocd", "istio", "my-app"]
CONFIG = {
    "kubernetes_context": "k8s-dev", "issuer_email": "me@example.org",
    "argocd_domain": "cd.example.org", "grafana_domain": "grafana.example.org",
}  # fmt: skip


@pytest.fixture(scope="module")
def mirror(tmp_path_factory, cluster):
    """The address of a repository that has every chart of the map `charts`."""
    folder = tmp_path_factory.mktemp("repository")
    if given := os.environ.get("CHARTS"):
        for file in Path(given).glob("*.tgz"):
            shutil.copy(file, folder)
        repository.index(folder)
    else:
        repository.pack(folder)
    with repository.serving(folder) as address:
        yield address


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with workload_cluster.cluster(tmp_path_factory.mktemp("cluster")) as one:
        yield one


class Root:
    def __init__(self, folder: Path, mirror: str, cluster: workload_cluster.WorkloadCluster):
        self.folder, self.mirror, self.cluster = folder, mirror, cluster

    def set(self, workloads: list[str]) -> None:
        values = {"workload": {"dev": workloads}, "config": {"dev": CONFIG},
                  "chart_mirror": self.mirror, "vault_addr": "https://vault.example.org"}  # fmt: skip
        (self.folder / "maps.auto.tfvars.json").write_text(json.dumps(values))

    def run(self, *arguments: str, expected: int = 0) -> str:
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("TF_", "KUBE"))
        }
        environment |= {
            "TF_CLI_CONFIG_FILE": str(self.folder.parent / "terraform.tfrc"),
            "TF_WORKSPACE": "dev",
        }
        with handed_over(self.cluster.kubeconfig("k8s-dev")) as access:
            command = [terraform.program(), *arguments, "-no-color"]
            environment |= access | {"TF_INPUT": "0"}
            done = subprocess.run(
                command,
                cwd=self.folder,
                env=environment,
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
        assert done.returncode == expected, done.stdout[-2000:] + done.stderr
        return done.stdout

    def releases(self) -> dict[str, str]:
        """Namespace and name of each release in the cluster, to its newest revision."""
        found = json.loads(
            self.cluster.kubectl("get", "secrets", "-A", "-l", "owner=helm,status=deployed", "-o", "json")
        )
        return {
            f"{one['metadata']['namespace']}/{one['metadata']['labels']['name']}": one["metadata"]["labels"][
                "version"
            ]
            for one in found["items"]
        }


@pytest.fixture(scope="module")
def root(tmp_path_factory, mirror, cluster, helm_mirror):
    folder = tmp_path_factory.mktemp("site") / "clusters"
    shutil.copytree(CLUSTERS_DIR, folder, ignore=shutil.ignore_patterns(".terraform*", "tests"))
    make("my-app", folder)
    (folder / "backend_override.tf").write_text('terraform {\n  backend "local" {}\n}\n')
    (folder.parent / "terraform.tfrc").write_text(
        "disable_checkpoint = true\n"
        f'provider_installation {{\n  filesystem_mirror {{\n    path = "{helm_mirror}"\n  }}\n}}\n'
    )
    made = Root(folder, mirror, cluster)
    made.set(ALL)
    made.run("init")
    return made


def test_all_of_them_then_nothing_more(root):
    root.run("apply", "-auto-approve")
    told = json.loads(root.run("output", "-json", "releases"))
    assert root.releases() == {f"{one['namespace']}/{one['name']}": "1" for one in told}
    assert len(told) == 14
    root.run("plan", "-detailed-exitcode")
    store = json.loads(root.cluster.kubectl("get", "clustersecretstore", "vault", "-o", "json"))
    assert store["spec"]["provider"]["vault"]["auth"]["jwt"]["path"] == "clusters/k8s-dev"
    assert root.cluster.kubectl("get", "clusterissuer", "-o", "name").strip().endswith("/letsencrypt")
    state = (root.folder / "terraform.tfstate.d/dev/terraform.tfstate").read_text()
    assert (
        "PRIVATE KEY" not in state
        and root.cluster.kubeconfig("x")["users"][0]["user"]["client-key-data"] not in state
    )


def test_a_changed_template_reaches_the_cluster_and_touches_nothing_else(root):
    template = root.folder / "modules/external_secrets/chart/templates/store.yaml"
    template.write_text(
        template.read_text().replace("metadata:\n", "metadata:\n  labels: {changed: 'yes'}\n")
    )
    root.run("apply", "-auto-approve")
    found = root.releases()
    assert {name for name, revision in found.items() if revision != "1"} == {
        "external-secrets/external-secrets-resources"
    }
    assert root.cluster.kubectl("get", "clustersecretstore", "-l", "changed=yes", "-o", "name")


def test_a_workload_goes_alone_and_the_definitions_stay(root):
    installed = root.cluster.kubectl("get", "crd", "-o", "name").split()
    root.set(["external_secrets", "cert_manager"])
    root.run("apply", "-auto-approve")
    assert {name.partition("/")[0] for name in root.releases()} == {"external-secrets", "cert-manager"}
    root.set([])
    root.run("apply", "-auto-approve")
    assert root.releases() == {}
    kept = root.cluster.kubectl("get", "crd", "-o", "name").split()
    assert set(installed) == set(kept), "with a definition, everything of its kind would be deleted"
