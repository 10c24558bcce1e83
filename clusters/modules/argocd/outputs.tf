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
