variable "workload" {
  type = map(list(string))
  default = {
    default   = [] # ! workload.default: is Terraform's own workspace
    Dev       = [] # ! workload.Dev: is no name of a workspace
    "a/b"     = [] # ! workload.a/b: is no name of a workspace
    "-x"      = [] # ! workload.-x: is no name of a workspace
    ""        = [] # ! is no name of a workspace
    only-here = [] # ! workload.only-here: is in workload alone; add it to config, or remove it here
  }
}

variable "config" {
  type = map(object({
    kubernetes_context = string
    install_crd        = optional(bool, true)
    dns                = optional(object({ domains = optional(list(string), []) }), {})
  }))
  default = {
    default = { kubernetes_context = "k8s-dev" }
    Dev = { kubernetes_context = "k8s-dev" }
    "a/b" = { kubernetes_context = "k8s-dev" }
    "-x" = { kubernetes_context = "k8s-dev" }
    "" = { kubernetes_context = "k8s-dev" }
    only-there = { kubernetes_context = "k8s-dev" } # ! config.only-there: is in config alone; add it to workload, or remove it here
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
