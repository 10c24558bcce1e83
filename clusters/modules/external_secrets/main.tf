# External Secrets, and the store "vault": what a cluster's ExternalSecrets ask for is read from Vault with the cluster's
# own identity. No credential of it exists anywhere: its ServiceAccount's token is proof enough for Vault.

locals {
  resources = "${path.module}/chart"
  files     = { for file in fileset(local.resources, "**") : file => filesha1("${local.resources}/${file}") }
}

resource "helm_release" "this" {
  name             = "external-secrets"
  namespace        = "external-secrets"
  create_namespace = true
  repository       = var.chart.repository
  chart            = var.chart.chart
  version          = var.chart.version

  atomic          = true
  upgrade_install = true
  wait            = true
  timeout         = 600
  max_history     = 10

  values = [yamlencode({
    installCRDs = var.install_crd
    # By default they would go with the release, and with them every ExternalSecret and the Secrets that they made.
    crds = { annotations = { "helm.sh/resource-policy" = "keep" } }
    # The role at Vault is bound to this name.
    serviceAccount = { create = true, name = "external-secrets" }
  })]
}

# After the definitions of what it has in it. A chart of its own, so that a first plan needs none of them.
resource "helm_release" "resources" {
  name             = "external-secrets-resources"
  namespace        = "external-secrets"
  create_namespace = true
  chart            = local.resources
  version          = yamldecode(file("${local.resources}/Chart.yaml")).version

  atomic          = true
  upgrade_install = true
  wait            = true
  timeout         = 300
  max_history     = 10

  values = [yamlencode({
    server    = var.vault_addr
    caBundle  = base64encode(var.vault_ca)
    namespace = var.vault_namespace
    login     = "clusters/${var.context}"
    # A changed template with the same version would not be noticed.
    filesHash = sha1(jsonencode(local.files))
  })]

  depends_on = [helm_release.this]

  lifecycle {
    precondition {
      condition     = var.vault_addr != ""
      error_message = "external_secrets needs Vault's address: set VAULT_ADDR for scripts/apply_workspace.py, or TF_VAR_vault_addr."
    }
  }
}
