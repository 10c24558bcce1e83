variable "workload" {
  type = map(list(string))
  default = {
    dev = ["externaldns" "cert_manager"] # ! is not valid HCL here
  }
}

variable "config" {
  type = map(object({
    kubernetes_context = string
    install_crd        = optional(bool, true)
    dns                = optional(object({ domains = optional(list(string), []) }), {})
  }))
  default = {
    dev = { kubernetes_context = "k8s-dev" }
  }
}

variable "charts" {
  type = map(object({ repository = string, chart = string, version = string }))
  default = {
    external_dns = { repository = "https://charts.example.org", chart = "external-dns", version = "1.22.0" }
    cert_manager = { repository = "oci://charts.example.org/x", chart = "cert-manager", version = "v1.21.2-rc.1" }
    loki         = { repository = "https://charts.example.org", chart = "loki", version = "18.11.0" }
    alloy        = { repository = "https://charts.example.org", chart = "alloy", version = "1.11.1" }
  }
}
