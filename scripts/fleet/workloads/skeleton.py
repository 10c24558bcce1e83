"""The files of a new workload: what each is called, and its text. NAME is the workload's, RELEASE its release's."""

MAIN = """\
# NAME: say here what it runs.

locals {
  resources = "${path.module}/chart"
  files     = { for file in fileset(local.resources, "**") : file => filesha1("${local.resources}/${file}") }
}

# For a chart of somebody else's: add it to `charts` in variables.tf, hand it over in modules.tf as other modules have
# it, and set `repository`, `chart` and `version` from it. What it is given stays in `values`, except secrets.
resource "helm_release" "this" {
  name             = "RELEASE"
  namespace        = "RELEASE"
  create_namespace = true
  chart            = local.resources
  version          = yamldecode(file("${local.resources}/Chart.yaml")).version

  atomic          = true
  upgrade_install = true
  wait            = true
  timeout         = 300
  max_history     = 10

  values = [yamlencode({
    message = "set up by NAME"
    # A changed template with the same version would not be noticed.
    filesHash = sha1(jsonencode(local.files))
  })]
}
"""

OUTPUTS = """\
output "releases" {
  description = "The releases of this module."
  value = [for each in [helm_release.this] : {
    name      = each.name
    namespace = each.namespace
    chart     = each.chart
    version   = each.version
    timeout   = each.timeout
  }]
}
"""

VERSIONS = """\
terraform {
  required_version = ">= 1.9.0, < 2.0.0"

  required_providers {
    helm = {
      source  = "hashicorp/helm"
      version = ">= 3.1.0"
    }
  }
}
"""

CHART = """\
apiVersion: v2
name: RELEASE
description: NAME
type: application
version: 1.0.0
"""

TEMPLATE = """\
# Replace this by what NAME is. Helm waits for Deployments, StatefulSets and Services that are in here.
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}
data:
  message: {{ .Values.message | quote }}
"""

MODULE = """\

module "NAME" {
  source = "./modules/NAME"
  count  = contains(local.workloads, "NAME") ? 1 : 0
}
"""

FILES = {
    "main.tf": MAIN,
    "outputs.tf": OUTPUTS,
    "versions.tf": VERSIONS,
    "chart/Chart.yaml": CHART,
    "chart/templates/configmap.yaml": TEMPLATE,
}


def files(name: str) -> dict[str, str]:
    """Path below the module's folder to text, for a workload of this name."""
    return {path: _named(text, name) for path, text in FILES.items()}


def module(name: str) -> str:
    """Its module in modules.tf."""
    return _named(MODULE, name)


def _named(text: str, name: str) -> str:
    return text.replace("RELEASE", name.replace("_", "-")).replace("NAME", name)
