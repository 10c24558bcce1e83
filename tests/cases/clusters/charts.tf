variable "workload" {
  type = map(list(string))
  default = {
    dev = ["externaldns"]
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
  default = { # ! charts: alloy is missing, which modules/observability installs
    external_dns = { repository = "https://charts.example.org", chart = "external-dns", version = "~> 1.22" } # ! charts.external_dns.version: ~> 1.22 is not an exact version, as 1.22.0 is
    cert_manager = { repository = "charts.example.org", chart = "cert-manager", version = "1.21.2" }          # ! charts.cert_manager.repository: charts.example.org does not begin with https:// or oci://
    loki         = { chart = "loki", version = "18.11.0" }                                                    # ! charts.loki: repository is missing
  }
}
