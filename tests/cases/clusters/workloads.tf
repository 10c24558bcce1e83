variable "workload" {
  type = map(list(string))
  default = {
    dev = [
      "external-dns",
      "cert_managr",  # ! workload.dev.1: cert_managr is not a workload; did you mean cert_manager?
      "grafana",      # ! workload.dev.2: grafana is not a workload; there are cert_manager, externaldns, observability, unused
      "external_dns", # ! workload.dev.3: external_dns is there twice, in line 5 too; remove one
      "unused"        # ! workload.dev.4: modules.tf has no module with the source ./modules/unused, so it would not run
    ]
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
