# One module for each workload. What another one must have installed first is a value that it gives, so that only the
# release that needs it waits, and not the whole module.

locals {
  # One line for each module: a workload without one is refused.
  releases = {
    argocd           = module.argocd[*].releases
    cert_manager     = module.cert_manager[*].releases
    external_secrets = module.external_secrets[*].releases
    externaldns      = module.externaldns[*].releases
    istio            = module.istio[*].releases
    observability    = module.observability[*].releases
  }

  # The store of secrets in Vault, where external_secrets runs on this cluster.
  secret_store = one(module.external_secrets[*].store)
  # The issuer of certificates, where there is one.
  issuer = one(module.cert_manager[*].issuer)
}

module "external_secrets" {
  source = "./modules/external_secrets"
  count  = contains(local.workloads, "external_secrets") ? 1 : 0

  chart           = local.charts.external_secrets
  install_crd     = local.config.install_crd
  context         = local.config.kubernetes_context
  vault_addr      = var.vault_addr
  vault_ca        = var.vault_ca
  vault_namespace = var.vault_namespace
}

module "externaldns" {
  source = "./modules/externaldns"
  count  = contains(local.workloads, "externaldns") ? 1 : 0

  chart        = local.charts.external_dns
  install_crd  = local.config.install_crd
  dns          = local.config.dns
  owner        = "k8s-${local.workspace}"
  secret_store = local.secret_store
}

module "cert_manager" {
  source = "./modules/cert_manager"
  count  = contains(local.workloads, "cert_manager") ? 1 : 0

  chart        = local.charts.cert_manager
  install_crd  = local.config.cert_manager_crd
  dns          = local.config.dns
  email        = local.config.issuer_email
  secret_store = local.secret_store
}

module "observability" {
  source = "./modules/observability"
  count  = contains(local.workloads, "observability") ? 1 : 0

  charts = {
    kube_prometheus_stack = local.charts.kube_prometheus_stack
    loki                  = local.charts.loki
    alloy                 = local.charts.alloy
  }
  install_crd = local.config.install_crd
  domain      = local.config.grafana_domain
  issuer      = local.issuer
}

module "argocd" {
  source = "./modules/argocd"
  count  = contains(local.workloads, "argocd") ? 1 : 0

  chart       = local.charts.argo_cd
  install_crd = local.config.install_crd
  domain      = local.config.argocd_domain
  issuer      = local.issuer
}

module "istio" {
  source = "./modules/istio"
  count  = contains(local.workloads, "istio") ? 1 : 0

  charts = {
    base    = local.charts.istio_base
    istiod  = local.charts.istiod
    gateway = local.charts.istio_gateway
  }
}
