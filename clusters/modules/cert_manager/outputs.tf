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

output "issuer" {
  description = "The name of the ClusterIssuer, null for none; who uses it waits until it is there."
  value       = var.email == null ? null : "letsencrypt"
  depends_on  = [helm_release.resources]
}
