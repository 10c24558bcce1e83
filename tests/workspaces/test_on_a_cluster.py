"""All workloads of clusters/ on a real API server: installed, unchanged by a second run, changed, removed.

The charts are bodies of our own under the real names: a ConfigMap each, and the definitions that the charts beside the
modules need. What counts here is what Terraform and helm do with the modules.
"""

import functools
import json
import os
import shutil
import subprocess
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from fleet.contexts.handover import handed_over
from fleet.paths import CLUSTERS_DIR
from fleet.workloads.new import make
from fleet.workspaces import maps
from lab import builds, terraform
from tests.helpers import bare_cluster

ALL = ["externaldns", "cert-manager", "external_secrets", "observability", "argocd", "istio", "my-app"]
CONFIG = {
    "kubernetes_context": "k8s-dev",
    "issuer_email": "me@example.org",
    "argocd_domain": "cd.example.org",
}
SPEC = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
SECRETS = "external-secrets.io"
KINDS = {
    "external-secrets": [
        (SECRETS, "ExternalSecret", "Namespaced"),
        (SECRETS, "ClusterSecretStore", "Cluster"),
    ],
    "cert-manager": [("cert-manager.io", "ClusterIssuer", "Cluster")],
}
# As each of the two real charts keeps its definitions: by the annotations that it is given, or if it is asked to.
KEEP = {
    "external-secrets": "{{ .Values.crds.annotations | toJson }}",
    "cert-manager": '{{ if .Values.crds.keep }}{"helm.sh/resource-policy": "keep"}{{ else }}{}{{ end }}',
}


def chart(folder: Path, name: str, version: str) -> None:
    (folder / name / "templates").mkdir(parents=True)
    (folder / name / "Chart.yaml").write_text(f"apiVersion: v2\nname: {name}\nversion: {version}\n")
    body = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\n"
    for group, kind, scope in KINDS.get(name, ()):
        plural = f"{kind.lower()}s"
        version = {"name": "v1", "served": True, "storage": True,
                   "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": SPEC}}}}  # fmt: skip
        spec = {"group": group, "scope": scope, "versions": [version],
                "names": {"kind": kind, "plural": plural, "singular": kind.lower()}}  # fmt: skip
        body += "---\napiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata:\n"
        body += f"  name: {plural}.{group}\n  annotations: {KEEP[name]}\n{yaml.safe_dump({'spec': spec})}"
    (folder / name / "templates/all.yaml").write_text(body)


@pytest.fixture(scope="module")
def mirror(tmp_path_factory):
    """The address of a repository that has every chart of the map `charts`."""
    builds.build(builds.find("helm"))
    sources, folder = tmp_path_factory.mktemp("charts"), tmp_path_factory.mktemp("repository")
    helm = str(builds.entry("helm") / "helm")
    for one in maps.read((CLUSTERS_DIR / "variables.tf").read_text(), "variables.tf").charts.values():
        chart(sources, one["chart"], one["version"])
        subprocess.run(
            [helm, "package", "-d", folder, sources / one["chart"]], check=True, capture_output=True
        )
    subprocess.run([helm, "repo", "index", folder], check=True)

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with bare_cluster.running(tmp_path_factory.mktemp("cluster")) as one:
        yield one


class Root:
    def __init__(self, folder: Path, mirror: str, cluster: bare_cluster.Cluster):
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
    root.set(["external_secrets", "cert_manager"])
    root.run("apply", "-auto-approve")
    assert {name.partition("/")[0] for name in root.releases()} == {"external-secrets", "cert-manager"}
    root.set([])
    root.run("apply", "-auto-approve")
    assert root.releases() == {}
    kept = root.cluster.kubectl("get", "crd", "-o", "name").split()
    assert len(kept) == 3, "with a definition, everything of its kind would be deleted"
