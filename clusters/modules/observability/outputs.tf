output "releases" {
  description = "The releases of this module."
  value = [for each in [helm_release.this, helm_release.loki, helm_release.alloy] : {
    name      = each.name
    namespace = each.namespace
    chart     = each.chart
    version   = each.version
    timeout   = each.timeout
  }]
}
