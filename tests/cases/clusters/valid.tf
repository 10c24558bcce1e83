variable "workload" {
  type = map(list(string))
  default = {
    # a workspace for each cluster
    dev  = ["external-dns", "cert_manager"]
    logs = ["Observability", ]
    home : []
    "talos" = ["externaldns"]
  }
}

variable "config" {
  type = map(object({
    kubernetes_context = string
    install_crd        = optional(bool, true)
    dns                = optional(object({ domains = optional(list(string), []) }), {})
  }))
  default = {
    dev = {
      kubernetes_context = "k8s-dev"
      install_crd        = true
      dns                = { domains = ["example.org"] }
    }
    logs  = { kubernetes_context = "k8s-dev", install_crd = null }
    home  = { kubernetes_context = "k8s-home" }
    talos = { kubernetes_context = "talos-lab" }
  }
}

variable "charts" {
  description = "an example"
  type = map(object({ repository = string, chart = string, version = string }))
  default = {
    external_dns = { repository = "https://charts.example.org", chart = "external-dns", version = "1.22.0" }
    cert_manager = { repository = "oci://charts.example.org/x", chart = "cert-manager", version = "v1.21.2-rc.1" }
    loki         = { repository = "https://charts.example.org", chart = "loki", version = "18.11.0" }
    alloy        = { repository = "https://charts.example.org", chart = "alloy", version = "1.11.1" }
  }
}
