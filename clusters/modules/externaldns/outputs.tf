output "releases" {
  description = "The releases of this module."
  value = [for each in concat([helm_release.this], helm_release.resources) : {
    name      = each.name
    namespace = each.namespace
    chart     = each.chart
    version   = each.version
    timeout   = each.timeout
  }]
}
