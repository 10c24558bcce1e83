output "releases" {
  description = "The releases of this module."
  value = [for each in [helm_release.this, helm_release.resources] : {
    name      = each.name
    namespace = each.namespace
    chart     = each.chart
    version   = each.version
    timeout   = each.timeout
  }]
}

output "store" {
  description = "The name of the ClusterSecretStore; who uses it waits until it is there."
  value       = "vault"
  depends_on  = [helm_release.resources]
}
