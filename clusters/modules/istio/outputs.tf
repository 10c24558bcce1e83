output "releases" {
  description = "The releases of this module."
  value = [for each in [helm_release.base, helm_release.this, helm_release.gateway] : {
    name      = each.name
    namespace = each.namespace
    chart     = each.chart
    version   = each.version
    timeout   = each.timeout
  }]
}
