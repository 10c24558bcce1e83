"""A folder clusters/ whose workloads are small charts, the cluster on which they run, and a Vault with its context."""

import base64
import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import apply_workspace
from fleet.releases import stored
from fleet.terraform import command as terraform_command
from lab import terraform
from tests.helpers import bare_cluster, vault_server
from tests.helpers.bare_cluster import Cluster

CONTEXT = "k8s-dev"
ROOT = """
terraform {
  required_providers {
    helm = {
      source  = "hashicorp/helm"
      version = "= 3.1.2"
    }
  }
}
variable "settings" {
  type    = map(map(string))
  default = {}
}
provider "helm" {}
output "context" {
  value = try(var.config[terraform.workspace].kubernetes_context, null)
}
resource "helm_release" "this" {
  for_each         = toset(var.workload[terraform.workspace])
  name             = each.key
  namespace        = each.key
  repository       = try(var.settings[each.key].repository, null)
  chart            = try(var.settings[each.key].chart, "${path.module}/charts/${each.key}")
  version          = "1.0.0"
  create_namespace = true
  atomic           = true
  upgrade_install  = true
  timeout          = tonumber(try(var.settings[each.key].timeout, "5"))
  values           = [yamlencode(merge({ text = "first" }, try(var.settings[each.key], {})))]
}
"""
TEMPLATES = {
    "config.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\n"
    "{{ if .Values.held }}  finalizers: [lab/held]\n{{ end }}"  # its deletion waits for somebody
    "data:\n  text: {{ .Values.text | quote }}\n",
    # No controller runs, so that it never gets ready.
    "never.yaml": """{{ if .Values.never }}
apiVersion: apps/v1
kind: Deployment
metadata: {name: never}
spec:
  selector: {matchLabels: {app: never}}
  template: {metadata: {labels: {app: never}}, spec: {containers: [{name: a, image: a}]}}
{{ end }}
""",
}


class Site:
    def __init__(self, folder: Path, cluster: Cluster, vault: vault_server.Vault):
        self.folder, self.cluster, self.vault = folder / "clusters", cluster, vault
        self.name = ""  # of the workspace of one test
        (self.folder / "charts").mkdir(parents=True)
        (self.folder / "main.tf").write_text(ROOT)

    def maps(self, context: str = CONTEXT, **workloads: list[str]) -> None:
        """The maps of variables.tf: of each workspace its workloads, all on this context."""
        config = {name: {"kubernetes_context": context} for name in workloads}
        blocks = [
            f'variable "{name}" {{\n  type    = {kind}\n  default = {json.dumps(value)}\n}}\n'
            for name, kind, value in (
                ("workload", "map(list(string))", workloads),
                ("config", "map(object({ kubernetes_context = string }))", config),
                ("charts", "map(object({ repository = string, chart = string, version = string }))", {}),
            )
        ]
        (self.folder / "variables.tf").write_text("\n".join(blocks))
        for name in {name for names in workloads.values() for name in names}:
            self.chart(name)

    def chart(self, name: str) -> None:
        chart = self.folder / "charts" / name
        (chart / "templates").mkdir(parents=True, exist_ok=True)
        (chart / "Chart.yaml").write_text(f"apiVersion: v2\nname: {name}\nversion: 1.0.0\n")
        for file, text in TEMPLATES.items():
            (chart / "templates" / file).write_text(text)

    def give(self, *kubeconfigs: dict) -> None:
        """What Vault has: these kubeconfigs as one."""
        import yaml

        merged = {**kubeconfigs[0]}
        for part in ("clusters", "users", "contexts"):
            merged[part] = [entry for one in kubeconfigs for entry in one[part]]
        self.vault.write(KUBECONFIG=yaml.safe_dump(merged))

    def set(self, patch: pytest.MonkeyPatch, **settings: dict[str, str]) -> None:
        """Of releases: the timeout, and the values `text`, `never` (gets ready) and `held` (when it is deleted)."""
        patch.setenv("TF_VAR_settings", json.dumps(settings))

    def settings(self, patch: pytest.MonkeyPatch, **values: str) -> None:
        """`set` of release b alone."""
        self.set(patch, **{f"{self.name}-b": values})

    def keys(self) -> list[str]:
        return [f"{self.name}-{one}/{self.name}-{one}" for one in "ab"]

    def mine(self) -> list[str]:
        """Revision and status of the releases a and b; only those that there are."""
        found = self.releases()
        return [found[key] for key in self.keys() if key in found]

    def without_b(self) -> str:
        """Take b out of the map; what approves that."""
        self.maps(**{self.name: [f"{self.name}-a"]})
        return f"{self.name}/{self.name}-b"

    def cut_off(self, patch: pytest.MonkeyPatch, command: str) -> None:
        """The API is away while Terraform runs this command, and back afterwards."""
        real = terraform_command.run

        def run(directory: Path, *arguments: str, **options) -> subprocess.CompletedProcess:
            if arguments[0] != command:
                return real(directory, *arguments, **options)
            self.cluster.switch.off()
            try:
                return real(directory, *arguments, **options)
            finally:
                self.cluster.switch.on()

        patch.setattr(terraform_command, "run", run)

    def by_hand(self, key: str, **config: str) -> None:
        """As `helm upgrade` with these values: a revision more."""
        namespace, _, name = key.partition("/")
        core, old = (
            self._core(),
            max(self.secrets(f"owner=helm,name={name}"), key=lambda one: one.metadata.name),
        )
        data = json.loads(gzip.decompress(base64.b64decode(base64.b64decode(old.data["release"]))))
        data |= {"version": data["version"] + 1, "config": config}
        packed = base64.b64encode(gzip.compress(json.dumps(data).encode()))
        old.metadata.labels["status"] = "superseded"
        core.replace_namespaced_secret(old.metadata.name, namespace, old)
        new = f"sh.helm.release.v1.{name}.v{data['version']}"
        labels = old.metadata.labels | {"status": "deployed", "version": str(data["version"])}
        made = {"metadata": {"name": new, "labels": labels}, "type": old.type,
                "data": {"release": base64.b64encode(packed).decode()}}  # fmt: skip
        core.create_namespaced_secret(namespace, made)

    def apply(self, workspace: str, *options: str) -> int:
        return apply_workspace.main([workspace, "--dir", str(self.folder), *options])

    def begin(self, workspace: str, *options: str) -> subprocess.Popen:
        """The same as a program, whose whole group can be killed; what it says goes to log."""
        command = [sys.executable, apply_workspace.__file__, workspace, "--dir", str(self.folder), *options]
        with (self.folder.parent / "log").open("wb") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, env=os.environ, start_new_session=True)

    @property
    def log(self) -> str:
        return (self.folder.parent / "log").read_text(errors="replace")

    def releases(self) -> dict[str, str]:
        """Of each release in the cluster the newest revision and its status."""
        present = stored.read(self)
        return {key: f"{all_of[-1].revision} {all_of[-1].status}" for key, all_of in sorted(present.items())}

    def _core(self):
        from kubernetes import client, config

        return client.CoreV1Api(config.new_client_from_config_dict(self.cluster.kubeconfig("direct")))

    def secrets(self, label_selector: str) -> list:
        return self._core().list_secret_for_all_namespaces(label_selector=label_selector).items

    def state(self, workspace: str) -> list[str]:
        file = self.folder / "terraform.tfstate.d" / workspace / "terraform.tfstate"
        found = json.loads(file.read_text())["resources"] if file.exists() else []
        return sorted(one["index_key"] for resource in found for one in resource["instances"])


@contextmanager
def site(folder: Path, mirror: Path) -> Iterator[Site]:
    """A site whose helm provider comes from this file system mirror."""
    (folder / "terraform.tfrc").write_text(
        f'provider_installation {{\n  filesystem_mirror {{\n    path = "{mirror}"\n  }}\n}}\n'
    )
    (folder / "cluster").mkdir()
    with (
        bare_cluster.running(folder / "cluster") as cluster,
        vault_server.running() as vault,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name in ("PG_CONN_STR", "VAULT_NAMESPACE", "GITHUB_STEP_SUMMARY", "GITHUB_ACTIONS"):
            patch.delenv(name, raising=False)
        patch.setenv("TERRAFORM", terraform.program())
        patch.setenv("TF_CLI_CONFIG_FILE", str(folder / "terraform.tfrc"))
        patch.setenv("VAULT_ADDR", vault.url)
        patch.setenv("VAULT_TOKEN", vault.token)
        made = Site(folder, cluster, vault)
        made.give(cluster.kubeconfig(CONTEXT))
        yield made
