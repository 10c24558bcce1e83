# cert-manager, and an issuer of Let's Encrypt's certificates where config has an issuer_email.

locals {
  resources = "${path.module}/chart"
  files     = { for file in fileset(local.resources, "**") : file => filesha1("${local.resources}/${file}") }
}

resource "helm_release" "this" {
  name             = "cert-manager"
  namespace        = "cert-manager"
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
    crds = { enabled = var.install_crd, keep = true }
  })]
}

# After the definitions of what it has in it. A chart of its own, so that a first plan needs none of them.
resource "helm_release" "resources" {
  count = var.email == null ? 0 : 1

  name             = "cert-manager-resources"
  namespace        = "cert-manager"
  create_namespace = true
  chart            = local.resources
  version          = yamldecode(file("${local.resources}/Chart.yaml")).version

  atomic          = true
  upgrade_install = true
  wait            = true
  timeout         = 300
  max_history     = 10

  values = [yamlencode({
    email   = var.email
    solver  = var.dns.provider == "cloudflare" ? "cloudflare" : "http"
    domains = var.dns.domains
    store   = var.secret_store == null ? "" : var.secret_store
    # A changed template with the same version would not be noticed.
    filesHash = sha1(jsonencode(local.files))
  })]

  depends_on = [helm_release.this]
}
