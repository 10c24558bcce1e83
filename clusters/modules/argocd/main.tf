# Argo CD; an ingress where config has an argocd_domain, with a certificate where the cluster has an issuer.

locals {
  tls = var.domain != null && var.issuer != null
}

resource "helm_release" "this" {
  name             = "argo-cd"
  namespace        = "argocd"
  create_namespace = true
  repository       = var.chart.repository
  chart            = var.chart.chart
  version          = var.chart.version

  atomic          = true
  upgrade_install = true
  wait            = true
  timeout         = 900
  max_history     = 10

  values = [yamlencode({
    crds   = { install = var.install_crd, keep = true }
    global = { domain = var.domain == null ? "argocd.local" : var.domain }
    # The ingress ends TLS; Argo CD's own would answer it with redirects for ever.
    configs = { params = { "server.insecure" = var.domain != null } }
    server = { ingress = {
      enabled     = var.domain != null
      annotations = local.tls ? { "cert-manager.io/cluster-issuer" = var.issuer } : {}
      tls         = local.tls
    } }
  })]
}
