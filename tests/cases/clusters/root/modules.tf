module "externaldns" {
  source = "./modules/externaldns"
  chart  = local.charts.external_dns
}

module "cert_manager" {
  source = "./modules/cert_manager"
  chart  = var.charts["cert_manager"]
}

module "observability" {
  source = "./modules/observability"
  charts = {
    loki  = local.charts.loki
    alloy = local.charts.alloy
  }
}
