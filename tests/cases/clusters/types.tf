variable "workload" {
  type = map(list(string))
  default = {
    a = "cert_manager"      # ! workload.a: must be a list, not "cert_manager"
    b = [true]              # ! workload.b.0: must be a text in quotes, not true
    c = { d = "externaldns" } # ! workload.c: must be a list, not a map
    e = null                # ! workload.e: must be a list, not null
    g = []
  }
}

variable "config" {
  type = map(object({
    kubernetes_context = string
    install_crd        = optional(bool, true)
    dns                = optional(object({ domains = optional(list(string), []) }), {})
  }))
  default = {
    a = {
      kubernetes_context = "k8s-dev"
      install_crd        = "true" # ! config.a.install_crd: must be true or false, not "true"; remove the quotes
      instal_crd         = true   # ! config.a.instal_crd: unknown key; did you mean install_crd?
      dns = {
        domain  = "example.org" # ! config.a.dns.domain: unknown key; did you mean domains?
        domains = "example.org" # ! config.a.dns.domains: must be a list, not "example.org"
      }
    }
    b = { kubernetes_context = "k8s-dev", xyzzy = 1 } # ! config.b.xyzzy: unknown key; there are kubernetes_context, install_crd, dns
    c = "k8s-dev"                                     # ! config.c: must be a map in braces, not "k8s-dev"
    e = { kubernetes_context = ["k8s-dev"] }          # ! config.e.kubernetes_context: must be a text in quotes, not a list
    g = { kubernetes_context = 5 }                    # ! config.g.kubernetes_context: must be a text in quotes, not 5
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
