# Istio: its definitions, its control plane, and a gateway, a Service of type LoadBalancer.

resource "helm_release" "base" {
  name             = "istio-base"
  namespace        = "istio-system"
  create_namespace = true
  repository       = var.charts.base.repository
  chart            = var.charts.base.chart
  version          = var.charts.base.version

  atomic          = true
  upgrade_install = true
  wait            = true
  timeout         = 300
  max_history     = 10

  # The definitions have the annotation that keeps them.
  values = [yamlencode({ defaultRevision = "default" })]
}

resource "helm_release" "this" {
  name             = "istiod"
  namespace        = "istio-system"
  create_namespace = true
  repository       = var.charts.istiod.repository
  chart            = var.charts.istiod.chart
  version          = var.charts.istiod.version

  atomic          = true
  upgrade_install = true
  wait            = true
  timeout         = 600
  max_history     = 10

  # The chart's own, but without any values an upgrade would go on with those that somebody gave by hand.
  values = [yamlencode({ global = { istioNamespace = "istio-system" } })]

  depends_on = [helm_release.base]
}

resource "helm_release" "gateway" {
  name             = "istio-gateway"
  namespace        = "istio-gateway"
  create_namespace = true
  repository       = var.charts.gateway.repository
  chart            = var.charts.gateway.chart
  version          = var.charts.gateway.version

  atomic          = true
  upgrade_install = true
  wait            = true
  timeout         = 600
  max_history     = 10

  # The chart's own, as istiod's above.
  values = [yamlencode({ service = { type = "LoadBalancer" } })]

  # istiod fills in the gateway's image.
  depends_on = [helm_release.this]
}
