# Metrics (Prometheus, Alertmanager, Grafana), logs (Loki), and Alloy, which sends the pods' logs there.

locals {
  tls = var.domain != null && var.issuer != null
}

resource "helm_release" "this" {
  name             = "kube-prometheus-stack"
  namespace        = "observability"
  create_namespace = true
  repository       = var.charts.kube_prometheus_stack.repository
  chart            = var.charts.kube_prometheus_stack.chart
  version          = var.charts.kube_prometheus_stack.version

  atomic          = true
  upgrade_install = true
  wait            = true
  timeout         = 900
  max_history     = 10

  values = [yamlencode({
    # In a folder crds/, which helm never removes.
    crds = { enabled = var.install_crd }
    # K3s runs these in one process and Talos on loopback: their alerts would never end.
    kubeControllerManager = { enabled = false }
    kubeScheduler         = { enabled = false }
    kubeProxy             = { enabled = false }
    kubeEtcd              = { enabled = false }
    prometheus = { prometheusSpec = {
      retention = "15d"
      # Those of other releases count too.
      ruleSelectorNilUsesHelmValues           = false
      serviceMonitorSelectorNilUsesHelmValues = false
      podMonitorSelectorNilUsesHelmValues     = false
      probeSelectorNilUsesHelmValues          = false
      storageSpec = { volumeClaimTemplate = { spec = {
        accessModes = ["ReadWriteOnce"]
        resources   = { requests = { storage = "20Gi" } }
      } } }
    } }
    # The chart makes Grafana's password itself and keeps it in the cluster's Secret.
    grafana = {
      additionalDataSources = [{
        name   = "Loki"
        uid    = "loki"
        type   = "loki"
        access = "proxy"
        url    = "http://loki.observability.svc:3100"
      }]
      ingress = {
        enabled     = var.domain != null
        hosts       = var.domain == null ? [] : [var.domain]
        annotations = local.tls ? { "cert-manager.io/cluster-issuer" = var.issuer } : {}
        tls         = [for domain in local.tls ? [var.domain] : [] : { secretName = "grafana-tls", hosts = [domain] }]
      }
    }
  })]
}

resource "helm_release" "loki" {
  name             = "loki"
  namespace        = "observability"
  create_namespace = true
  repository       = var.charts.loki.repository
  chart            = var.charts.loki.chart
  version          = var.charts.loki.version

  atomic          = true
  upgrade_install = true
  wait            = true
  timeout         = 600
  max_history     = 10

  values = [yamlencode({
    # One pod and a volume: the other modes need an object storage, and the chart refuses a mixture.
    deploymentMode = "Monolithic"
    singleBinary   = { replicas = 1, persistence = { size = "20Gi" } }
    read           = { replicas = 0 }
    write          = { replicas = 0 }
    backend        = { replicas = 0 }
    # For several pods and tenants; the caches alone would ask for 10 GB of memory.
    gateway      = { enabled = false }
    chunksCache  = { enabled = false }
    resultsCache = { enabled = false }
    lokiCanary   = { enabled = false }
    test         = { enabled = false }
    loki = {
      auth_enabled  = false
      commonConfig  = { replication_factor = 1 }
      storage       = { type = "filesystem" }
      limits_config = { retention_period = "744h" }
      compactor     = { retention_enabled = true, delete_request_store = "filesystem" }
      schemaConfig = { configs = [{
        from         = "2024-04-01"
        store        = "tsdb"
        object_store = "filesystem"
        schema       = "v13"
        index        = { prefix = "index_", period = "24h" }
      }] }
    }
  })]
}

resource "helm_release" "alloy" {
  name             = "alloy"
  namespace        = "observability"
  create_namespace = true
  repository       = var.charts.alloy.repository
  chart            = var.charts.alloy.chart
  version          = var.charts.alloy.version

  atomic          = true
  upgrade_install = true
  wait            = true
  timeout         = 600
  max_history     = 10

  values = [yamlencode({
    # A way to choose pods that is not used here; it would go with the release.
    crds = { create = false }
    alloy = {
      configMap       = { content = file("${path.module}/config.alloy") }
      mounts          = { varlog = true }
      enableReporting = false
    }
  })]
}
